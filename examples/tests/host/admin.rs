//! The administration: who may see it, what it says, what it does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Parser;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tower_plugin_auth::{RotateError, store::List};
use tower_plugin_core::ManualClock;
use tower_plugin_examples::host::{
    HostState, Options, Readiness,
    admin::{AdminParts, build},
    build as build_host, serve,
};

use crate::support::{
    Admin, Answer, CHECK, DISCOVER, HANDSHAKE, Host, Plugin, REGISTER, SECRET, handshake,
};

const TOKEN: &str = "the-token-of-the-administrator";

/// A host and its administration, in this process.
struct Both {
    main: SocketAddr,
    admin: SocketAddr,
    clock: ManualClock,
    state: Arc<HostState>,
    client: Client<HttpConnector, Full<Bytes>>,
    served: [JoinHandle<()>; 2],
}

impl Drop for Both {
    fn drop(&mut self) {
        for served in &self.served {
            served.abort();
        }
    }
}

impl Both {
    async fn start(arguments: &[&str], parts: AdminParts) -> Self {
        let fixed = [
            "plugin-host",
            "--admin-listen",
            "127.0.0.1:0",
            "--allow-register=*=*",
            "--allow-call=*=*",
        ];
        let mut options = Options::try_parse_from([&fixed, arguments].concat()).unwrap();
        options.admin.environment = Some(TOKEN.parse().unwrap());
        let bounds = options.bounds();
        let config = options.load_admin().unwrap().unwrap();
        let clock = ManualClock::new();
        let (host, _) = options.into_config(Some(SECRET.to_owned())).unwrap();
        let state = Arc::new(HostState::new(host, Arc::new(clock.clone())).unwrap());
        let app = build_host(&state);
        let own = build(&state, &config, parts).unwrap();
        let (main, aside) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let main = state.listener(main).unwrap();
        let aside = state.listener(aside).unwrap();
        let addresses = (main.address(), aside.address());
        let (never, readiness) = (std::future::pending::<()>, state.readiness());
        let main = main.with_connections(state.telemetry().connections());
        let served = [
            tokio::spawn(async move {
                serve(main, app, readiness, bounds, never()).await;
            }),
            tokio::spawn(async move {
                serve(aside, own, Readiness::default(), bounds, never()).await;
            }),
        ];
        Self {
            main: addresses.0,
            admin: addresses.1,
            clock,
            state,
            client: Client::builder(TokioExecutor::new()).build_http(),
            served,
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::of(self.client.request(request).await.unwrap()).await
    }

    async fn admin(&self, method: &str, path: &str, token: Option<&str>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.admin));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.admin("GET", path, Some(TOKEN)).await
    }

    async fn post(&self, path: &str) -> Answer {
        self.admin("POST", path, Some(TOKEN)).await
    }

    async fn stats(&self) -> Value {
        let answer = self.get("/admin/stats").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    /// One unary call in JSON to the host.
    async fn call(&self, path: &str, token: &str, message: &Value) -> Answer {
        let request = Request::post(format!("http://{}{path}", self.main))
            .header("content-type", "application/json")
            .header("connect-protocol-version", "1")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from(message.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// A new plugin's id and token.
    async fn admit(&self, self_id: &str) -> (String, String) {
        let request = handshake(json!({ "selfId": self_id }));
        let answer = self.call(HANDSHAKE, "", &request).await;
        let Plugin { id, token } = answer.plugin();
        (id, token)
    }

    async fn knows(&self, token: &str) -> bool {
        let message = json!({ "serviceType": "x" });
        self.call(DISCOVER, token, &message).await.status != 401
    }
}

fn find<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let mut list = list.as_array().unwrap().iter();
    list.find(|item| item[field] == value).unwrap()
}

#[tokio::test]
async fn nothing_but_the_page_and_the_probe_is_shown_without_the_token() {
    let both = Both::start(&[], AdminParts::default()).await;
    for (method, path) in [
        ("GET", "/admin/plugins"),
        ("GET", "/admin/stats"),
        ("GET", "/admin/tokens"),
        ("GET", "/metrics"),
        ("POST", "/admin/rotate"),
        ("POST", "/admin/tokens/x/revoke"),
        ("POST", "/admin/tokens/x/rotate"),
    ] {
        for token in [None, Some("wrong-token-of-somebody")] {
            let answer = both.admin(method, path, token).await;
            assert_eq!(answer.status, 401, "{path} {token:?}");
            assert!(answer.header("www-authenticate").starts_with("Bearer "));
        }
    }
    assert_eq!(both.admin("GET", "/healthz", None).await.text(), "ok");
    assert_eq!(both.admin("GET", "/", None).await.status, 200);
    assert_eq!(both.admin("GET", "/nothing", None).await.status, 404);
    // None of it is on the main listener.
    for path in ["/", "/admin/stats", "/admin/tokens", "/metrics"] {
        let request = Request::get(format!("http://{}{path}", both.main))
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::default())
            .unwrap();
        assert_eq!(both.send(request).await.status, 404, "{path}");
    }
    // And a plugin is no administrator.
    let (_, token) = both.admit("p").await;
    assert_eq!(
        both.admin("GET", "/admin/stats", Some(&token)).await.status,
        401
    );
}

#[tokio::test]
async fn guessing_the_token_ends_and_knowing_it_does_not() {
    let both = Both::start(&["--admin-quota", "5/h"], AdminParts::default()).await;
    // Who knows it is never held up.
    for _ in 0..20 {
        both.stats().await;
    }
    for n in 0..5 {
        let guess = format!("guess-number-{n}-of-many");
        let answer = both.admin("GET", "/admin/stats", Some(&guess)).await;
        assert_eq!(answer.status, 401);
    }
    for _ in 0..5 {
        let answer = both
            .admin("GET", "/metrics", Some("one-more-guess-too-many"))
            .await;
        assert_eq!(answer.status, 429);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(both.get("/admin/stats").await.status, 429);
    both.clock.advance(Duration::from_secs(3600));
    both.stats().await;
}

#[tokio::test]
async fn the_figures_are_those_of_what_has_happened() {
    let both = Both::start(&["--register-quota", "1/h:2"], AdminParts::default()).await;
    let (_, token) = both.admit("p").await;
    let service = json!({ "serviceType": "kv", "version": "1.0.0", "endpointPath": "/kv/" });
    for status in [200, 200, 429, 429, 429] {
        let answer = both.call(REGISTER, &token, &service).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert!(!both.knows("tpr_nonsense").await);

    let stats = both.stats().await;
    assert_eq!(stats["ready"], true);
    assert_eq!(stats["tokens"], json!({ "alive": 1, "capacity": 100_000 }));
    assert_eq!(stats["registrations"], 2);
    assert_eq!(stats["redis"], Value::Null);
    assert_eq!(stats["grants"]["alive"], 0);
    assert_eq!(
        stats["grants"]["capabilities"],
        json!([["logger", "1.0.0"]])
    );
    assert_eq!(stats["audit"], Value::Null);
    let register = find(&stats["policies"], "name", "register");
    assert_eq!(register["quota"], "1/h:2");
    assert_eq!(
        (&register["admitted"], &register["refused"]),
        (&json!(2), &json!(3))
    );
    let handshakes = find(&stats["policies"], "name", "handshake");
    assert_eq!(
        (&handshakes["admitted"], &handshakes["refused"]),
        (&json!(1), &json!(0))
    );
    let refusal = |reason| find(&stats["refusals"], "reason", reason).clone();
    assert_eq!(
        refusal("RATE_LIMITED"),
        json!({ "layer": "ratelimit", "reason": "RATE_LIMITED", "count": 3 })
    );
    assert_eq!(refusal("INVALID_TOKEN")["layer"], "auth");
    assert!(stats["connections"]["accepted"].as_u64().unwrap() >= 1);

    // What lives no longer is not counted.
    both.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(both.stats().await["tokens"]["alive"], 0);
}

#[tokio::test]
async fn tokens_are_listed_in_pages_and_without_their_secrets() {
    let both = Both::start(&["--handshake-quota", "100/s"], AdminParts::default()).await;
    let mut plugins = Vec::new();
    for n in 0..5 {
        plugins.push(both.admit(&format!("p{n}")).await);
        both.clock.advance(Duration::from_secs(1));
    }
    let mut seen = Vec::new();
    let mut path = "/admin/tokens?limit=2".to_owned();
    loop {
        let answer = both.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for (_, token) in &plugins {
            assert!(!answer.text().contains(token));
        }
        let page = answer.json();
        for token in page["tokens"].as_array().unwrap() {
            assert_eq!(token["live"], true);
            assert_eq!(token["kind"], "runtime");
            seen.push(token["runtime_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/admin/tokens?limit=2&after={next}");
    }
    let ids: Vec<_> = plugins.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(seen, ids);

    let one = both
        .get(&format!("/admin/tokens?runtime_id={}", ids[3]))
        .await
        .json();
    assert_eq!(one["tokens"].as_array().unwrap().len(), 1);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=s3cr3t",
        "s3cr3t=1",
    ] {
        let answer = both.get(&format!("/admin/tokens?{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(!answer.text().contains("s3cr3t"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_is_revoked_is_refused_at_once_and_nothing_else_is() {
    let both = Both::start(&[], AdminParts::default()).await;
    let (a, a_token) = both.admit("a").await;
    let (b, b_token) = both.admit("b").await;
    let (_, c_token) = both.admit("c").await;
    let answer = both.post(&format!("/admin/tokens/{a}/revoke")).await;
    assert_eq!(answer.json(), json!({ "revoked": 1 }));
    assert!(!both.knows(&a_token).await && both.knows(&b_token).await);

    let listed = both
        .get(&format!("/admin/tokens?runtime_id={b}"))
        .await
        .json();
    let id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
    let answer = both.post(&format!("/admin/tokens/{id}/revoke")).await;
    assert_eq!(answer.json(), json!({ "revoked": 1 }));
    assert!(!both.knows(&b_token).await && both.knows(&c_token).await);

    for unknown in [&a, &id, "nobody-at-all", &"0".repeat(32)] {
        let answer = both.post(&format!("/admin/tokens/{unknown}/revoke")).await;
        assert_eq!(answer.status, 404);
    }
    assert_eq!(
        both.get(&format!("/admin/tokens/{a}/revoke")).await.status,
        405
    );

    let answer = both.post("/admin/rotate").await;
    assert_eq!(answer.json(), json!({ "revoked": 1 }));
    assert!(!both.knows(&c_token).await);
    let (_, again) = both.admit("c").await;
    assert!(both.knows(&again).await);
}

#[tokio::test]
async fn the_administrator_gets_a_plugin_its_successor() {
    let both = Both::start(&["--token-overlap", "30s"], AdminParts::default()).await;
    let (id, old) = both.admit("p").await;
    let answer = both.post(&format!("/admin/tokens/{id}/rotate")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let successor = answer.json();
    assert_eq!(successor["runtimeId"], id);
    let new = successor["runtimeToken"].as_str().unwrap();
    assert!(both.knows(&old).await && both.knows(new).await);
    both.clock.advance(Duration::from_secs(31));
    assert!(both.knows(new).await);
    let answer = both.post("/admin/tokens/nobody-at-all/rotate").await;
    assert_eq!(answer.status, 404);
}

// Of more tokens than are on a page none was found.
#[tokio::test]
async fn of_many_tokens_the_newest_is_the_one_that_is_rotated() {
    let both = Both::start(&[], AdminParts::default()).await;
    let (runtime_id, _) = both.admit("p").await;
    let tokens = both.state.tokens();
    let list = List::of_subject("runtime", &runtime_id);
    let mut newest = tokens.list(&list).await.unwrap()[0].id();
    for _ in 0..list.limit() {
        both.clock.advance(Duration::from_secs(1));
        newest = tokens.rotate(&newest).await.unwrap().token().id();
    }
    assert_eq!(tokens.list(&list).await.unwrap().len(), list.limit());
    let answer = both
        .post(&format!("/admin/tokens/{runtime_id}/rotate"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = tokens.rotate(&newest).await;
    assert!(
        matches!(again, Err(RotateError::AlreadyRotated)),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_plugin_rotates_its_own_token_and_no_other() {
    let both = Both::start(&["--rotate-quota", "1/h:3"], AdminParts::default()).await;
    let (id, old) = both.admit("p").await;
    let empty = json!({});
    let answer = both.call("/rotate", &old, &empty).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let successor = answer.json();
    let new = successor["runtimeToken"].as_str().unwrap().to_owned();
    assert_eq!(successor["runtimeId"], id);
    assert_ne!(new, old);

    // Once.
    assert_eq!(both.call("/rotate", &old, &empty).await.status, 400);
    assert!(both.knows(&old).await && both.knows(&new).await);
    assert_eq!(both.call("/rotate", "", &empty).await.status, 401);
    assert_eq!(both.call("/rotate", &new, &empty).await.status, 200);
    assert_eq!(both.call("/rotate", &new, &empty).await.status, 429);

    // After the overlap the old one is stolen, and takes its successors with it.
    both.clock.advance(Duration::from_secs(31));
    assert!(!both.knows(&old).await);
    assert!(!both.knows(&new).await);
}

#[tokio::test]
async fn an_unused_token_dies_where_it_is_told_to() {
    let both = Both::start(&["--token-idle", "10m"], AdminParts::default()).await;
    let (_, token) = both.admit("p").await;
    for _ in 0..4 {
        both.clock.advance(Duration::from_secs(8 * 60));
        assert!(both.knows(&token).await);
    }
    both.clock.advance(Duration::from_secs(11 * 60));
    assert!(!both.knows(&token).await);
}

#[tokio::test]
async fn the_page_may_do_nothing_but_ask_this_host() {
    let both = Both::start(&[], AdminParts::default()).await;
    let answer = both.admin("GET", "/", None).await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let policy = answer.header("content-security-policy").to_owned();
    for directive in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-store");
}

/// The page reads these fields and no others; a name that is changed here has to be changed there.
#[tokio::test]
async fn the_page_and_the_figures_speak_of_the_same() {
    let both = Both::start(&[], AdminParts::default()).await;
    let page = both.admin("GET", "/", None).await.text();
    let _refused = both.knows("tpr_nonsense").await;
    let stats = both.stats().await;
    for field in [
        "version",
        "ready",
        "uptime_seconds",
        "connections",
        "tokens",
        "registrations",
        "policies",
        "refusals",
        "redis",
        "grants",
        "audit",
    ] {
        assert!(stats.get(field).is_some(), "{field}");
        assert!(page.contains(&format!("stats.{field}")), "{field}");
    }
    for (object, what, fields) in [
        (&stats["tokens"], "stats.tokens", &["alive", "capacity"][..]),
        (
            &stats["policies"][0],
            "policy",
            &["name", "quota", "admitted", "refused", "undecided"],
        ),
        (
            &stats["refusals"][0],
            "refusal",
            &["layer", "reason", "count"],
        ),
    ] {
        for field in fields {
            assert!(object.get(field).is_some(), "{object} {field}");
            assert!(page.contains(&format!("{what}.{field}")), "{what}.{field}");
        }
    }
}

#[tokio::test]
async fn other_parts_add_their_routes_and_figures_behind_the_token() {
    use axum::{Router, routing::get};

    let parts = AdminParts {
        routes: Router::new().route("/admin/more", get("nobody")),
        grants: Some(Arc::new(|| json!([{ "capability": "logger", "alive": 2 }]))),
        audit: Some(Arc::new(|| json!([]))),
    };
    let both = Both::start(&[], parts).await;
    assert_eq!(both.admin("GET", "/admin/more", None).await.status, 401);
    assert_eq!(both.get("/admin/more").await.text(), "nobody");
    let stats = both.stats().await;
    assert_eq!(stats["grants"][0]["alive"], 2);
    assert_eq!(stats["audit"], json!([]));
}

#[tokio::test]
async fn the_metrics_are_text_with_labels_that_callers_do_not_choose() {
    let both = Both::start(&["--register-quota", "1/h:1"], AdminParts::default()).await;
    // What the libraries count has no other place: one host in this process.
    let _upkeep = both.state.telemetry().install();
    let (_, token) = both.admit("p").await;
    let service = json!({ "serviceType": "kv", "version": "1.0.0", "endpointPath": "/kv/" });
    for _ in 0..3 {
        both.call(REGISTER, &token, &service).await;
    }
    for n in 0..50 {
        both.call(&format!("/made-up/{n}"), &token, &json!({}))
            .await;
    }
    both.call(CHECK, "", &json!({})).await;
    let answer = both.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text();
    for line in [
        r#"plugin_host_requests_total{route="/connectplugin.v1.ServiceRegistry/RegisterService",code="200"} 1"#,
        r#"plugin_host_requests_total{route="/connectplugin.v1.ServiceRegistry/RegisterService",code="429"} 2"#,
        r#"plugin_host_requests_total{route="none",code="404"} 50"#,
        r#"plugin_host_refusals_total{layer="ratelimit",reason="RATE_LIMITED"} 2"#,
        r#"plugin_host_refusals_total{layer="host",reason="UNKNOWN_PATH"} 50"#,
        r#"plugin_host_decisions_total{policy="register",decision="refused"} 2"#,
        "plugin_host_tokens 1",
        "plugin_host_registrations 1",
        "plugin_host_ready 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(
        !text.contains("made-up") && !text.contains(&token),
        "{text}"
    );
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            name.starts_with(|first: char| first.is_ascii_lowercase()),
            "{line}"
        );
    }
    #[cfg(target_os = "linux")]
    for gauge in ["process_resident_memory_bytes ", "process_open_fds "] {
        assert!(text.contains(gauge), "{text}");
    }
}

#[tokio::test]
async fn what_requests_took_is_told_by_what_they_were_about_and_what_came_of_them() {
    let both = Both::start(&["--register-quota", "1/h:1"], AdminParts::default()).await;
    let (_, token) = both.admit("p").await;
    let service = json!({ "serviceType": "kv", "version": "1.0.0", "endpointPath": "/kv/" });
    for _ in 0..3 {
        both.call(REGISTER, &token, &service).await;
    }
    assert!(both.knows(&token).await);
    for n in 0..50 {
        both.call(&format!("/made-up/{n}"), &token, &json!({}))
            .await;
    }
    let text = both.get("/metrics").await.text();
    // No time passes by this clock, so all are in the first bucket.
    for line in [
        r#"plugin_host_request_seconds_bucket{class="registry",outcome="served",le="0.0005"} 1"#,
        r#"plugin_host_request_seconds_bucket{class="registry",outcome="refused",le="+Inf"} 3"#,
        r#"plugin_host_request_seconds_sum{class="registry",outcome="refused"} 0"#,
        r#"plugin_host_request_seconds_count{class="registry",outcome="refused"} 3"#,
        r#"plugin_host_request_seconds_count{class="handshake",outcome="served"} 1"#,
        r#"plugin_host_request_seconds_count{class="none",outcome="refused"} 50"#,
        "# TYPE plugin_host_request_seconds histogram",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(!text.contains("made-up"), "{text}");
}

#[tokio::test]
async fn a_request_that_takes_longer_is_in_the_bucket_of_its_time() {
    let clock = Arc::new(std::sync::OnceLock::<ManualClock>::new());
    let slow = Arc::clone(&clock);
    let own = axum::Router::new().route(
        "/slow",
        axum::routing::get(async move || {
            slow.get().unwrap().advance(Duration::from_millis(7));
            http::StatusCode::SERVICE_UNAVAILABLE
        }),
    );
    let host = Host::with_routes(&[], own).await;
    clock.set(host.clock.clone()).unwrap();
    assert_eq!(host.get("/slow").await.status, 503);
    let text = Admin::of(&host).send("GET", "/metrics").await.text();
    for line in [
        r#"plugin_host_request_seconds_bucket{class="own",outcome="failed",le="0.005"} 0"#,
        r#"plugin_host_request_seconds_bucket{class="own",outcome="failed",le="0.01"} 1"#,
        r#"plugin_host_request_seconds_sum{class="own",outcome="failed"} 0.007"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_metrics_are_on_the_main_listener_only_where_that_is_said() {
    let both = Both::start(&["--public-metrics"], AdminParts::default()).await;
    let request = Request::get(format!("http://{}/metrics", both.main))
        .body(Full::default())
        .unwrap();
    let answer = both.send(request).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("plugin_host_ready 1"));
}

#[tokio::test]
async fn a_request_keeps_its_well_formed_name_and_gets_one_otherwise() {
    let both = Both::start(&[], AdminParts::default()).await;
    let named = async |names: &[&str]| {
        let mut request = Request::get(format!("http://{}/healthz", both.main));
        for name in names {
            request = request.header("x-request-id", *name);
        }
        let answer = both.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);
        answer.header("x-request-id").to_owned()
    };
    let good = "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11";
    assert_eq!(named(&[good]).await, good);
    let mut made = Vec::new();
    for bad in [
        &[][..],
        &[""],
        &["a b"],
        &["<script>"],
        &[&"a".repeat(65)],
        &[good, good],
    ] {
        let name = named(bad).await;
        assert!(
            !name.is_empty() && !bad.contains(&&*name),
            "{bad:?}: {name}"
        );
        made.push(name);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 6);
    // A refusal has one, too.
    let answer = both.call(DISCOVER, "", &json!({})).await;
    assert_eq!(answer.status, 401);
    assert!(!answer.header("x-request-id").is_empty());
}
