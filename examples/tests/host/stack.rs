//! The order of the layers: which a refused request has come to, and in which order.

use axum::{Router, routing::get};
use flate2::{Compression, write::GzEncoder};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::io::Write;
use tempfile::TempDir;
use tower_plugin_auth::{NewToken, Principal, token::TokenKind};
use tower_plugin_examples::host::MAX_BODY;

use crate::support::{
    Answer, BROKER, CHECK, DISCOVER, HANDSHAKE, Host, Passed, Plugin, REGISTER, WATCH, handshake,
};

/// What every request comes to before it is looked at.
const OUTSIDE: &[&str] = &["request id", "audit", "errors", "unread body", "transport"];
const CHECKED: &[&str] = &["panics", "connect json", "validation"];
const COUNTED: &[&str] = &["client quota"];
const KNOWN: &[&str] = &["authentication", "plugin quota", "plugin", "refresh hint"];
/// What stands around an RPC.
const RPC: &[&str] = &[
    "rpc head",
    "unread body",
    "size",
    "decompression",
    "unfolded size",
    "whole body",
];

/// Where a host writes its audit log.
struct Log(TempDir);

impl Log {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let keys = folder.path().join("keys");
        std::fs::write(&keys, format!("1 {}", "7a".repeat(32))).unwrap();
        crate::process::close(&keys);
        Self(folder)
    }

    async fn host(&self, more: &[&str]) -> (Host, Passed) {
        let path = |name: &str| self.0.path().join(name).to_str().unwrap().to_owned();
        let (log, keys) = (path("audit"), path("keys"));
        let arguments = ["--audit-file", &log, "--audit-key-file", &keys];
        Host::watched(&[&arguments[..], more].concat(), Router::new()).await
    }
}

fn headers<'a>(bearer: &'a str, id: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("content-type", "application/json"),
        ("connect-protocol-version", "1"),
        ("authorization", bearer),
        ("x-plugin-runtime-id", id),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What refuses; path, headers and body; the answer; the layers it has come to, in order: the last one is what refused.
type Case<'a> = (
    &'a str,
    String,
    Vec<(&'a str, &'a str)>,
    Vec<u8>,
    u16,
    &'a [&'a [&'static str]],
);

async fn try_all(host: &Host, passed: &Passed, cases: Vec<Case<'_>>) {
    for (what, path, headers, body, status, expected) in cases {
        passed.take();
        let answer = host.post(&path, &headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(passed.take(), expected.concat(), "{what}");
    }
}

#[tokio::test]
async fn a_refused_request_comes_to_the_layers_outside_of_the_refusal_and_to_no_other() {
    let log = Log::new();
    let (host, passed) = log
        .host(&[
            "--allow-register",
            "*=x",
            "--allow-call",
            "*=x",
            "--discover-quota",
            "1/h:1",
            "--capability-quota",
            "1/h:1",
        ])
        .await;
    let plugin = host.admit("p").await;
    let grant = grant(&host, &plugin).await;
    // Spends the quotas.
    let question = json!({ "serviceType": "x" });
    host.call(DISCOVER, Some(&plugin), question)
        .await
        .refused(404, "not_found");
    let line = json!({ "level": "info", "message": "hello" });
    let id = grant["grantId"].as_str().unwrap();
    let log_path = format!("/capabilities/logger/{id}/capability.logger.v1.Logger/Log");
    let granted = format!("Bearer {}", grant["bearerToken"].as_str().unwrap());
    let used = host
        .post(&log_path, &headers(&granted, &plugin.id), line.to_string())
        .await;
    assert_eq!(used.status, 200, "{}", used.text());
    // Somebody with a good token who is no plugin.
    let alice = Principal::new("user", "alice");
    let tokens = host.state.tokens();
    let issued = tokens
        .issue(NewToken::for_principal(TokenKind::Runtime, alice))
        .await
        .unwrap();

    let bearer = format!("Bearer {}", plugin.token);
    let user = format!("Bearer {}", issued.token().expose());
    let large = "x".repeat(9000);
    let offer = r#"{"serviceType":"x","version":"1.0.0","endpointPath":"/x/"}"#;
    let call = format!("/services/x/{}/Do", plugin.id);
    let by_plugin = || headers(&bearer, &plugin.id);
    let rpc: &[&[&str]] = &[OUTSIDE, CHECKED, COUNTED, &["base"], KNOWN, RPC];
    let cases: Vec<Case<'_>> = vec![
        (
            "limits of the head",
            REGISTER.to_owned(),
            [by_plugin(), vec![("x-large", &*large)]].concat(),
            offer.into(),
            431,
            &[OUTSIDE, CHECKED],
        ),
        (
            "path",
            "/services/x/y/..%2F..%2Fz".to_owned(),
            by_plugin(),
            vec![],
            400,
            &[OUTSIDE, CHECKED],
        ),
        (
            "authentication",
            REGISTER.to_owned(),
            headers("Bearer tpr_made-up", &plugin.id),
            offer.into(),
            401,
            &[OUTSIDE, CHECKED, COUNTED, &["base", "authentication"]],
        ),
        (
            "quota of a plugin",
            DISCOVER.to_owned(),
            by_plugin(),
            "{}".into(),
            429,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["base", "authentication", "plugin quota"],
            ],
        ),
        (
            "who is no plugin",
            REGISTER.to_owned(),
            headers(&user, "alice"),
            offer.into(),
            403,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["base", "authentication", "plugin quota", "plugin"],
            ],
        ),
        (
            "who is no plugin, and wants a token",
            "/rotate".to_owned(),
            headers(&user, "alice"),
            vec![],
            403,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["authentication", "plugin quota", "plugin"],
            ],
        ),
        (
            "size",
            REGISTER.to_owned(),
            by_plugin(),
            vec![b' '; MAX_BODY + 1],
            413,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["base"],
                KNOWN,
                &["rpc head", "unread body", "size"],
            ],
        ),
        (
            "size, once it is unfolded",
            REGISTER.to_owned(),
            [by_plugin(), vec![("content-encoding", "gzip")]].concat(),
            gzip(&vec![b' '; MAX_BODY + 1]),
            413,
            rpc,
        ),
        (
            "payload: the handler",
            REGISTER.to_owned(),
            by_plugin(),
            offer.replace("/x/", "/../x/").into(),
            400,
            rpc,
        ),
        (
            "a service to register: the handler",
            REGISTER.to_owned(),
            by_plugin(),
            offer.replace(r#":"x""#, r#":"y""#).into(),
            403,
            rpc,
        ),
        (
            "nothing",
            REGISTER.to_owned(),
            by_plugin(),
            offer.into(),
            200,
            rpc,
        ),
        (
            "a path of no call",
            "/services/x".to_owned(),
            by_plugin(),
            vec![],
            400,
            &[OUTSIDE, CHECKED, COUNTED, &["call head"]],
        ),
        (
            "who is no plugin, and calls one",
            call.clone(),
            headers(&user, "alice"),
            vec![],
            403,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["call head", "authentication", "plugin quota", "plugin"],
            ],
        ),
        (
            "a service to call",
            call.replace("/x/", "/y/"),
            by_plugin(),
            vec![],
            403,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["call head"],
                KNOWN,
                &["allowed services"],
            ],
        ),
        (
            "no endpoint: the proxy",
            call,
            by_plugin(),
            vec![],
            404,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["call head"],
                KNOWN,
                &["allowed services", "calls"],
            ],
        ),
        (
            "a grant for another call",
            log_path.replace("Logger/Log", "Other/Do"),
            headers(&granted, &plugin.id),
            "{}".into(),
            401,
            &[OUTSIDE, CHECKED, COUNTED, &["grant"]],
        ),
        (
            "quota of a holder",
            log_path,
            headers(&granted, &plugin.id),
            line.to_string().into(),
            429,
            &[
                OUTSIDE,
                CHECKED,
                COUNTED,
                &["grant", "holder", "capability quota"],
            ],
        ),
    ];
    try_all(&host, &passed, cases).await;
    host.stop().await;
}

async fn grant(host: &Host, plugin: &Plugin) -> Value {
    let request = json!({ "capabilityType": "logger" });
    let answer = host.call(BROKER, Some(plugin), request).await;
    answer.json()["grant"].clone()
}

#[tokio::test]
async fn a_stream_comes_to_the_same_layers_and_to_how_many_there_are() {
    let log = Log::new();
    let (host, passed) = log.host(&[]).await;
    let plugin = host.admit("p").await;
    let watch = async |token: &str| {
        let request = Request::post(host.url(WATCH))
            .header("content-type", "application/connect+proto")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from(&b"\0\0\0\0\x03\x0a\x01x"[..]))
            .unwrap();
        passed.take();
        let answer = host.client().request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let frame = body.frame().await.unwrap().unwrap();
        let frame = frame.into_data().unwrap();
        // An end of the stream says why; a message does not.
        let code = match frame[0] {
            2 => serde_json::from_slice::<Value>(&frame[5..]).unwrap()["error"]["code"].clone(),
            _ => Value::Null,
        };
        (code, body, passed.take())
    };
    let (code, _, seen) = watch("tpr_made-up").await;
    assert_eq!(code, "unauthenticated");
    assert_eq!(
        seen,
        [OUTSIDE, CHECKED, COUNTED, &["authentication"]].concat()
    );

    let mut open = Vec::new();
    for _ in 0..16 {
        let (code, body, seen) = watch(&plugin.token).await;
        assert_eq!(code, Value::Null);
        let all = [OUTSIDE, CHECKED, COUNTED, KNOWN, &["watches"], RPC];
        assert_eq!(seen, all.concat());
        open.push(body);
    }
    let (code, _, seen) = watch(&plugin.token).await;
    assert_eq!(code, "resource_exhausted");
    assert_eq!(
        seen,
        [OUTSIDE, CHECKED, COUNTED, KNOWN, &["watches"]].concat()
    );
    drop(open);
    host.stop().await;
}

#[tokio::test]
async fn the_limits_by_address_stand_before_who_calls_is_asked() {
    let log = Log::new();
    let (host, passed) = log
        .host(&["--client-quota", "1/h:3", "--handshake-quota", "1/h:1"])
        .await;
    let json = || vec![("content-type", "application/json")];
    let shake = || handshake(json!({ "selfId": "p" })).to_string().into_bytes();
    let first: &[&[&str]] = &[OUTSIDE, CHECKED, COUNTED, &["base", "handshake quota"]];
    let cases: Vec<Case<'_>> = vec![
        (
            "nothing",
            HANDSHAKE.to_owned(),
            json(),
            shake(),
            200,
            &[OUTSIDE, CHECKED, COUNTED, &["base", "handshake quota"], RPC],
        ),
        (
            "handshakes",
            HANDSHAKE.to_owned(),
            json(),
            shake(),
            429,
            first,
        ),
        (
            "nobody is known to ask how the host is",
            CHECK.to_owned(),
            json(),
            "{}".into(),
            200,
            &[OUTSIDE, CHECKED, COUNTED, &["base"], RPC],
        ),
        (
            "calls of an address",
            REGISTER.to_owned(),
            headers("Bearer tpr_made-up", "p"),
            "{}".into(),
            429,
            &[OUTSIDE, CHECKED, COUNTED],
        ),
        // And a head that is no good does not even spend of it.
        (
            "validation",
            "/a/..%2Fb".to_owned(),
            vec![],
            vec![],
            400,
            &[OUTSIDE, CHECKED],
        ),
    ];
    try_all(&host, &passed, cases).await;
    passed.take();
    assert_eq!(host.get("/healthz").await.status, 200);
    assert_eq!(passed.take(), [OUTSIDE, CHECKED].concat(), "a probe");
    host.stop().await;
}

#[tokio::test]
async fn transport_stands_before_everything_that_looks_at_a_request() {
    let log = Log::new();
    // The flag wants a certificate where there is a listener; here there is none of it.
    let (host, passed) = log.host(&["--require-tls"]).await;
    // Wrong in everything the later ones look at.
    let answer = host
        .post("/a/..%2Fb", &[("authorization", "Bearer x")], "")
        .await;
    assert_eq!(
        answer.json()["reason"],
        "INSECURE_TRANSPORT",
        "{}",
        answer.text()
    );
    assert_eq!(passed.take(), OUTSIDE);
    host.stop().await;
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_told_so() {
    let host = Host::with(&["--token-ttl", "10m"]).await;
    let plugin = host.admit("p").await;
    let hint = async |path: &str| {
        let answer = host.call(path, Some(&plugin), json!({})).await;
        answer.header("x-plugin-token-expires-in").to_owned()
    };
    assert_eq!(hint(DISCOVER).await, "");
    host.clock.advance(std::time::Duration::from_secs(6 * 60));
    for path in [DISCOVER, BROKER, "/services/x/y/z"] {
        assert_eq!(hint(path).await, "240", "{path}");
    }
    // The answer is another token, which has all its time.
    assert_eq!(hint("/rotate").await, "");
    host.stop().await;
}

#[tokio::test]
async fn what_breaks_is_told_without_its_words() {
    let broken = async || {
        let words = "cannot open /srv/s3cr3t.db";
        (
            http::StatusCode::INTERNAL_SERVER_ERROR,
            [("server", "app/1.2.3")],
            words,
        )
    };
    let own = Router::new().route("/broken", get(broken)).route(
        "/panics",
        get(async || -> &'static str { panic!("s3cr3t") }),
    );
    let host = Host::with_routes(&[], own).await;
    for path in ["/broken", "/panics"] {
        let answer: Answer = host.get(path).await;
        assert_eq!(answer.status, 500);
        assert!(!answer.text().contains("s3cr3t"), "{}", answer.text());
        assert!(!answer.headers.contains_key("server"));
    }
    let text = host.get("/broken").await;
    let problem: Value = text.json();
    let reference = text.header("x-request-id").to_owned();
    assert!(
        problem
            .to_string()
            .contains(&format!("reference {reference}")),
        "{problem}"
    );
    // What is meant for callers is left alone.
    assert_eq!(host.get("/readyz").await.text(), "ready");
    host.stop().await;
}
