//! The order of the layers: who saw a request that was refused, and who never did.

use axum::{Router, routing::get};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Admin, Answer, BROKER, DISCOVER, Host, Plugin, REGISTER};

/// How often each layer that counts has seen a request so far, refused ones included.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Seen {
    /// The audit log, of refusals.
    audit: u64,
    /// The limit by address.
    by_address: u64,
    /// The limits by principal: behind authentication.
    by_principal: u64,
    /// The handler of registrations: behind everything.
    handled: u64,
}

async fn seen(admin: &Admin) -> Seen {
    let stats = admin.stats().await;
    let policy = |names: &[&str]| -> u64 {
        let policies = stats["policies"].as_array().unwrap().iter();
        policies
            .filter(|policy| names.contains(&policy["name"].as_str().unwrap()))
            .map(|policy| {
                policy["admitted"].as_u64().unwrap() + policy["refused"].as_u64().unwrap()
            })
            .sum()
    };
    let refusals = stats["audit"].as_array().unwrap().iter();
    // Those of the requests, and not what parts of the host tell beside them.
    let refusals =
        refusals.filter(|event| event["action"] == "POST" && event["outcome"] == "denied");
    Seen {
        audit: refusals.count() as u64,
        by_address: policy(&["client"]),
        by_principal: policy(&["broker", "capability", "discover", "register", "service"]),
        handled: stats["registrations"].as_u64().unwrap(),
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

/// What refuses; path, headers and body; the answer; who has seen it, of those that count, from the outside in.
type Case<'a> = (
    &'a str,
    String,
    Vec<(&'a str, &'a str)>,
    &'a str,
    u16,
    [u64; 4],
);

#[tokio::test]
async fn a_refused_request_is_seen_by_what_stands_outside_of_the_refusal_and_by_nothing_else() {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("1 {}", "7a".repeat(32))).unwrap();
    crate::process::close(&keys);
    let log = folder.path().join("audit");
    let host = Host::with(&[
        "--audit-file",
        log.to_str().unwrap(),
        "--audit-key-file",
        keys.to_str().unwrap(),
        "--discover-quota",
        "1/h:1",
    ])
    .await;
    let admin = Admin::of(&host);
    let plugin = host.admit("p").await;
    let request = json!({ "capabilityType": "logger" });
    let grant = host.call(BROKER, Some(&plugin), request).await.json()["grant"].clone();
    let question = json!({ "serviceType": "x" });
    // Spends the quota.
    host.call(DISCOVER, Some(&plugin), question.clone())
        .await
        .refused(404, "not_found");

    let bearer = format!("Bearer {}", plugin.token);
    let granted = format!("Bearer {}", grant["bearerToken"].as_str().unwrap());
    let id = grant["grantId"].as_str().unwrap();
    let large = "x".repeat(9000);
    let offer = r#"{"serviceType":"x","version":"1.0.0","endpointPath":"/x/"}"#;
    let by_plugin = || headers(&bearer, &plugin.id);
    let cases: [Case<'_>; 7] = [
        (
            "limits",
            REGISTER.to_owned(),
            [by_plugin(), vec![("x-large", &*large)]].concat(),
            offer,
            431,
            [1, 0, 0, 0],
        ),
        (
            "path",
            "/services/x/y/..%2F..%2Fz".to_owned(),
            by_plugin(),
            "",
            400,
            [1, 0, 0, 0],
        ),
        (
            "authentication",
            REGISTER.to_owned(),
            headers("Bearer tpr_made-up", &plugin.id),
            offer,
            401,
            [1, 1, 0, 0],
        ),
        (
            "rate limit by principal",
            DISCOVER.to_owned(),
            by_plugin(),
            "{}",
            429,
            [1, 1, 1, 0],
        ),
        (
            "authorisation: a grant for another call",
            format!("/capabilities/logger/{id}/other.v1.Other/Do"),
            headers(&granted, &plugin.id),
            "{}",
            401,
            [1, 1, 0, 0],
        ),
        (
            // Not a refusal of a layer: the host's own words, and no line.
            "payload",
            REGISTER.to_owned(),
            by_plugin(),
            r#"{"serviceType":"../x","version":"1.0.0","endpointPath":"/x/"}"#,
            400,
            [0, 1, 1, 0],
        ),
        (
            "nothing",
            REGISTER.to_owned(),
            by_plugin(),
            offer,
            200,
            [0, 1, 1, 1],
        ),
    ];
    for (what, path, headers, body, status, expected) in cases {
        let before = seen(&admin).await;
        let answer = host.post(&path, &headers, body.to_owned()).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let after = seen(&admin).await;
        let difference = [
            after.audit - before.audit,
            after.by_address - before.by_address,
            after.by_principal - before.by_principal,
            after.handled - before.handled,
        ];
        assert_eq!(difference, expected, "{what}");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_limit_by_address_stands_before_who_calls_is_asked() {
    let host = Host::with(&["--client-quota", "1/h:2"]).await;
    let admin = Admin::of(&host);
    let nobody = Plugin {
        id: "p".to_owned(),
        token: "tpr_made-up".to_owned(),
    };
    for _ in 0..2 {
        host.call(REGISTER, Some(&nobody), json!({}))
            .await
            .refused(401, "unauthenticated");
    }
    host.call(REGISTER, Some(&nobody), json!({}))
        .await
        .refused(429, "resource_exhausted");
    // And a head that is no good does not even spend of it.
    let answer = host.post("/a/..%2Fb", &[], "").await;
    assert_eq!(answer.status, 400);
    let refusals = &admin.stats().await["refusals"];
    let count = |reason: &str| {
        let mut refusals = refusals.as_array().unwrap().iter();
        let refusal = refusals.find(|refusal| refusal["reason"] == reason);
        refusal.map_or(0, |refusal| refusal["count"].as_u64().unwrap())
    };
    assert_eq!((count("INVALID_TOKEN"), count("RATE_LIMITED")), (2, 1));
    host.stop().await;
}

#[tokio::test]
async fn transport_stands_before_everything_else() {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("1 {}", "7a".repeat(32))).unwrap();
    crate::process::close(&keys);
    let log = folder.path().join("audit");
    // The flag wants a certificate where there is a listener; here there is none of it.
    let arguments = [
        "--require-tls",
        "--audit-file",
        log.to_str().unwrap(),
        "--audit-key-file",
        keys.to_str().unwrap(),
    ];
    let host = Host::with(&arguments).await;
    let admin = Admin::of(&host);
    let before = seen(&admin).await;
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
    let after = seen(&admin).await;
    assert_eq!(after.audit - before.audit, 1);
    assert_eq!(
        Seen {
            audit: before.audit,
            ..after
        },
        before
    );
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
