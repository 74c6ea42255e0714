//! Calls from plugin to plugin through the host: who is let through, and what arrives.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Method, StatusCode, header::LOCATION};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use crate::support::{Answer, Host, Plugin};

const LOOPBACK: [&str; 2] = ["--provider-network", "127.0.0.0/8"];

/// A plugin that is served on a socket of its own, and remembers what it was asked.
pub(crate) struct Provider {
    pub(crate) plugin: Plugin,
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<http::request::Parts>>>,
}

impl Provider {
    /// Offers `logger` at `/logger.v1.Logger/`, and answers with what it is sent.
    async fn start(host: &Host, name: &str) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&seen);
        let echo = async move |request: Request| {
            let (parts, body) = request.into_parts();
            noted.lock().push(parts);
            let headers = [
                ("content-type", "application/proto"),
                ("x-custom-response", "kept"),
                ("set-cookie", "a=b"),
            ];
            (headers, body)
        };
        let address = serve(Router::new().fallback(echo)).await;
        let plugin = host.admit(name).await;
        host.provide(&plugin, "logger", &format!("http://{address}"))
            .await;
        Self {
            plugin,
            address,
            seen,
        }
    }

    fn path(&self, method: &str) -> String {
        format!("/services/logger/{}/{method}", self.plugin.id)
    }

    fn paths(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.iter().map(|parts| parts.uri.to_string()).collect()
    }
}

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

async fn post(host: &Host, plugin: &Plugin, path: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", plugin.token);
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("x-plugin-runtime-id", plugin.id.as_str()),
        ("content-type", "application/proto"),
    ];
    headers.extend(more);
    host.post(path, &headers, "ping").await
}

#[tokio::test]
async fn a_call_reaches_the_path_its_provider_registered() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    let answer = post(&host, &user, &provider.path("Log?a=1&b=%2F"), &[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "ping")
    );
    assert_eq!(provider.paths(), ["/logger.v1.Logger/Log?a=1&b=%2F"]);
    assert_eq!(provider.seen.lock()[0].method, Method::POST);
    host.stop().await;
}

#[tokio::test]
async fn the_checks_come_in_the_order_of_the_protocol() {
    let host = Host::with(&LOOPBACK).await;
    let (user, sick, lost) = (
        host.admit("app").await,
        host.admit("sick").await,
        host.admit("lost").await,
    );
    // Each is also wrong in everything that is looked at later.
    host.provide(&sick, "logger", "http://10.0.0.1/").await;
    host.report(&sick, "UNHEALTHY").await;
    host.provide(&lost, "logger", "http://10.0.0.1/").await;
    let bearer = |token: &str| format!("Bearer {token}");
    let (good, bad) = (bearer(&user.token), bearer("made-up"));
    let to = |id: &str| format!("/services/logger/{id}/Log");
    let unknown = format!("logger-{}", "0".repeat(32));
    for (path, id, token, status, code, message) in [
        (
            "/services/logger/p".to_owned(),
            "",
            "",
            400,
            "invalid_argument",
            "invalid service path",
        ),
        (
            "/services/logger/".to_owned(),
            "",
            "",
            400,
            "invalid_argument",
            "invalid service path",
        ),
        (
            "/services/log%20ger/p/Log".to_owned(),
            "",
            "",
            400,
            "invalid_argument",
            "invalid service path",
        ),
        (
            to(&unknown),
            "",
            bad.as_str(),
            401,
            "unauthenticated",
            "X-Plugin-Runtime-ID header required",
        ),
        (
            to(&unknown),
            user.id.as_str(),
            "",
            401,
            "unauthenticated",
            "",
        ),
        (
            to(&unknown),
            &user.id,
            &bad,
            401,
            "unauthenticated",
            "invalid token",
        ),
        (
            to(&unknown),
            &sick.id,
            &good,
            401,
            "unauthenticated",
            "invalid token",
        ),
        (
            to(&unknown),
            &user.id,
            &good,
            404,
            "not_found",
            "provider not found",
        ),
        (
            to(&sick.id),
            &user.id,
            &good,
            503,
            "unavailable",
            "service unavailable (provider unhealthy)",
        ),
        (
            to(&lost.id),
            &user.id,
            &good,
            404,
            "not_found",
            "provider endpoint not registered",
        ),
    ] {
        let mut headers = vec![("content-type", "application/proto")];
        if !id.is_empty() {
            headers.push(("x-plugin-runtime-id", id));
        }
        if !token.is_empty() {
            headers.push(("authorization", token));
        }
        let answer = host.post(&path, &headers, "").await;
        let told = answer.refused(status, code);
        assert!(told.contains(message), "{path}: {told}");
        assert_eq!(status == 401, !answer.header("www-authenticate").is_empty());
    }
    host.post("/services", &[("content-type", "application/proto")], "")
        .await
        .refused(404, "unimplemented");
    host.stop().await;
}

#[tokio::test]
async fn only_the_unhealthy_are_not_called() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let other = Provider::start(&host, "other").await;
    host.report(&other.plugin, "UNHEALTHY").await;
    for (state, status) in [
        (None, 200),
        (Some("HEALTHY"), 200),
        (Some("DEGRADED"), 200),
        (Some("UNHEALTHY"), 503),
        (Some("HEALTHY"), 200),
    ] {
        if let Some(state) = state {
            host.report(&provider.plugin, state).await;
        }
        let answer = post(&host, &other.plugin, &provider.path("Log"), &[]).await;
        assert_eq!(answer.status, status, "{state:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn an_identity_stays_with_the_host_and_everything_else_goes_on() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    let headers = [
        ("x-custom-request", "kept"),
        ("cookie", "session=s3cr3t"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "elsewhere"),
    ];
    let answer = post(&host, &user, &provider.path("Log"), &headers).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("content-type"),
            answer.header("x-custom-response")
        ),
        (200, "application/proto", "kept"),
    );
    assert_eq!(
        answer.header("set-cookie"),
        "",
        "all providers share the host's origin"
    );

    let seen = provider.seen.lock()[0].headers.clone();
    let value = |name: &str| seen.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(value("content-type"), Some("application/proto"));
    assert_eq!(value("x-custom-request"), Some("kept"));
    assert_eq!(value("host"), Some(provider.address.to_string().as_str()));
    // Proven, unlike anything the caller said.
    assert_eq!(
        value("forwarded"),
        Some(format!("for=_{}", user.id).as_str())
    );
    for name in [
        "authorization",
        "cookie",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-hop",
        "x-plugin-runtime-id",
    ] {
        assert_eq!(value(name), None, "{name}");
    }
    assert!(!format!("{seen:?}").contains(&user.token));
    host.stop().await;
}

#[tokio::test]
async fn bodies_of_any_length_pass_both_ways() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    let body = Bytes::from(vec![b'x'; 5 * 1024 * 1024]);
    let bearer = format!("Bearer {}", user.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-plugin-runtime-id", user.id.as_str()),
    ];
    let answer = host
        .post(&provider.path("Log"), &headers, body.clone())
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == body);
    host.stop().await;
}

// From no credentials at all to an internal server it took three calls.
#[tokio::test]
async fn f55_a_plugin_cannot_point_the_host_anywhere() {
    let host = Host::start().await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    post(&host, &user, &provider.path("Log"), &[])
        .await
        .refused(404, "not_found");
    assert!(provider.paths().is_empty());
    host.stop().await;

    // What the operator allows is no more than that.
    let host = Host::with(&[
        "--provider-host",
        "plugins.example",
        "--provider-network",
        "127.0.0.2/32",
    ])
    .await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    for base_url in [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1/",
        "http://2130706434:1/",
        "http://127.0.0.2:1@127.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "ftp://127.0.0.2/",
        "http://plugins.example.evil.example/",
    ] {
        let plugin = host.admit("liar").await;
        host.provide(&plugin, "logger", base_url).await;
        let path = format!("/services/logger/{}/Log", plugin.id);
        let answer = post(&host, &user, &path, &[]).await;
        let message = answer.refused(404, "not_found");
        assert!(
            message.contains("endpoint not registered"),
            "{base_url}: {message}"
        );
    }
    post(&host, &user, &provider.path("Log"), &[])
        .await
        .refused(404, "not_found");
    assert!(provider.paths().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn f55_the_operator_says_where_a_provider_is() {
    let seen =
        serve(Router::new().fallback(async |request: Request| request.uri().to_string())).await;
    let own = format!("logger=http://{seen}/base");
    let host = Host::with(&["--provider", &own]).await;
    // Its own word does not count.
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    let answer = post(&host, &user, &provider.path("Log?x=1"), &[]).await;
    assert_eq!(answer.text(), "/base/logger.v1.Logger/Log?x=1");
    assert!(provider.paths().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn f55_a_redirect_is_handed_on_and_not_followed() {
    let host = Host::with(&LOOPBACK).await;
    let target = Provider::start(&host, "target").await;
    let location = format!("http://{}/inside", target.address);
    let redirect = Router::new()
        .fallback(move || async move { (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]) });
    let address = serve(redirect).await;
    let plugin = host.admit("redirects").await;
    host.provide(&plugin, "logger", &format!("http://{address}"))
        .await;
    let path = format!("/services/logger/{}/Log", plugin.id);
    let answer = post(&host, &plugin, &path, &[]).await;
    assert_eq!(answer.status, 307);
    assert!(answer.header("location").ends_with("/inside"));
    assert!(target.paths().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn f55_no_call_leads_back_to_the_host() {
    let host = Host::with(&LOOPBACK).await;
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = host.state.listener(admin).unwrap().address();
    let user = host.admit("app").await;
    for address in [host.address, admin] {
        let plugin = host.admit("mirror").await;
        host.provide(&plugin, "logger", &format!("http://{address}"))
            .await;
        let path = format!("/services/logger/{}/Log", plugin.id);
        post(&host, &user, &path, &[])
            .await
            .refused(502, "unavailable");
    }
    host.stop().await;
}

// `..%2F` used to reach the provider as `../`.
#[tokio::test]
async fn f56_no_spelling_leads_out_of_the_endpoint() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    for method in [
        "..%2Fconnectplugin.v1.PluginControl%2FShutdown",
        "../connectplugin.v1.PluginControl/Shutdown",
        "%2e%2e/Shutdown",
        "%252e%252e%252fShutdown",
        "a/%2e%2e/%2e%2e/Shutdown",
        "..%5cShutdown",
        "%c0%ae%c0%ae/Shutdown",
        "a//b",
        "/Shutdown",
        "Log%0aforged",
        "Log%00",
    ] {
        let answer = post(&host, &user, &provider.path(method), &[]).await;
        answer.refused(400, "invalid_argument");
    }
    assert_eq!(provider.paths(), [""; 0]);
    let answer = post(&host, &user, &provider.path("a%20b/c"), &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(provider.paths(), ["/logger.v1.Logger/a%20b/c"]);
    host.stop().await;
}

// Of a hundred calls to `cache`, 14 went to `logger`.
#[tokio::test]
async fn f59_type_and_provider_must_belong_together() {
    let host = Host::with(&LOOPBACK).await;
    let (a, b) = (
        Provider::start(&host, "a").await,
        Provider::start(&host, "b").await,
    );
    host.provide(&a.plugin, "cache", &format!("http://{}", a.address))
        .await;
    for _ in 0..20 {
        let path = format!("/services/cache/{}/Get", a.plugin.id);
        assert_eq!(post(&host, &b.plugin, &path, &[]).await.status, 200);
    }
    assert_eq!((a.paths().len(), b.paths().len()), (20, 0));
    post(
        &host,
        &a.plugin,
        &format!("/services/cache/{}/Get", b.plugin.id),
        &[],
    )
    .await
    .refused(404, "not_found");
    host.stop().await;
}

// A string comparison puts 1.10.0 before 1.9.0.
#[tokio::test]
async fn f62_a_newer_version_is_newer_by_number() {
    let host = Host::with(&LOOPBACK).await;
    let plugin = host.admit("logger").await;
    let address =
        serve(Router::new().fallback(async |request: Request| request.uri().to_string())).await;
    for (version, path) in [("1.10.0", "/ten/"), ("1.9.0", "/nine/")] {
        let offer = json!({
            "serviceType": "logger",
            "version": version,
            "endpointPath": path,
            "metadata": { "base_url": format!("http://{address}") },
        });
        let answer = host
            .call(crate::support::REGISTER, Some(&plugin), offer)
            .await;
        assert_eq!(answer.status, 200);
    }
    let path = format!("/services/logger/{}/Log", plugin.id);
    assert_eq!(post(&host, &plugin, &path, &[]).await.text(), "/ten/Log");
    host.stop().await;
}

#[tokio::test]
async fn f64_nobody_takes_back_what_another_offers() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let thief = host.admit("thief").await;
    let id = host
        .provide(
            &provider.plugin,
            "cache",
            &format!("http://{}", provider.address),
        )
        .await;
    host.call(
        crate::support::UNREGISTER,
        Some(&thief),
        json!({ "registrationId": id }),
    )
    .await
    .refused(404, "not_found");
    let path = format!("/services/cache/{}/Get", provider.plugin.id);
    assert_eq!(post(&host, &thief, &path, &[]).await.status, 200);
    host.stop().await;
}

#[tokio::test]
async fn a_provider_that_fails_is_told_of_in_the_callers_protocol() {
    let host = Host::with(&[&LOOPBACK[..], &["--provider-timeout", "1s"]].concat()).await;
    let user = host.admit("app").await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let silent = serve(Router::new().fallback(async || {
        std::future::pending::<()>().await;
    }))
    .await;
    let upgrades = serve(Router::new().fallback(async || StatusCode::SWITCHING_PROTOCOLS)).await;
    for (address, status, code, grpc_status) in [
        (gone, 502, "unavailable", "14"),
        (upgrades, 502, "unavailable", "14"),
        (silent, 504, "deadline_exceeded", "4"),
    ] {
        let plugin = host.admit("fails").await;
        host.provide(&plugin, "logger", &format!("http://{address}"))
            .await;
        let path = format!("/services/logger/{}/Log", plugin.id);
        let answer = post(&host, &user, &path, &[]).await;
        let message = answer.refused(status, code);
        assert!(!message.contains("127.0.0.1"), "{message}");

        let bearer = format!("Bearer {}", user.token);
        let identity = [
            ("authorization", bearer.as_str()),
            ("x-plugin-runtime-id", user.id.as_str()),
        ];
        let answer = host.post(&path, &identity, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (status, "application/problem+json")
        );
        if address != upgrades {
            let grpc = [&identity[..], &[("content-type", "application/grpc")]].concat();
            let answer = host.post(&path, &grpc, "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("grpc-status")),
                (200, grpc_status)
            );
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn calls_have_a_quota_by_plugin() {
    let host = Host::with(&[&LOOPBACK[..], &["--service-quota", "1/h:2"]].concat()).await;
    let provider = Provider::start(&host, "logger").await;
    let (a, b) = (host.admit("a").await, host.admit("b").await);
    for plugin in [&a, &b] {
        for _ in 0..2 {
            assert_eq!(
                post(&host, plugin, &provider.path("Log"), &[]).await.status,
                200
            );
        }
        let answer = post(&host, plugin, &provider.path("Log"), &[]).await;
        answer.refused(429, "resource_exhausted");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(provider.paths().len(), 4);
    host.stop().await;
}

#[tokio::test]
async fn a_call_is_neither_a_tunnel_nor_an_echo() {
    let host = Host::with(&LOOPBACK).await;
    let provider = Provider::start(&host, "logger").await;
    let user = host.admit("app").await;
    for method in ["CONNECT", "TRACE"] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let head = format!(
            "{method} {} HTTP/1.1\r\nhost: host\r\nauthorization: Bearer {}\r\n\
             x-plugin-runtime-id: {}\r\nconnection: close\r\n\r\n",
            provider.path("Log"),
            user.token,
            user.id
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        timeout(Duration::from_secs(10), read)
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(answer.contains("allow: DELETE, GET,"), "{answer}");
    }
    assert!(provider.paths().is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_status_that_a_provider_makes_up_is_no_series_of_its_own() {
    let host = Host::with(&[&LOOPBACK[..], &["--public-metrics"]].concat()).await;
    let app = Router::new().fallback(async || StatusCode::from_u16(799).unwrap());
    let address = serve(app).await;
    let plugin = host.admit("logger").await;
    host.provide(&plugin, "logger", &format!("http://{address}"))
        .await;
    let path = format!("/services/logger/{}/Log", plugin.id);
    let answer = post(&host, &plugin, &path, &[]).await;
    assert_eq!(answer.status.as_u16(), 799, "handed on as it is");
    let metrics = host.get("/metrics").await.text();
    assert!(
        metrics.contains(r#"code="other"} 1"#) && !metrics.contains("799"),
        "{metrics}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_call_with_it() {
    struct Told(Option<oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _nobody = self.0.take().unwrap().send(());
        }
    }
    let (begun, begin) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let told = Arc::new(Mutex::new(Some((begun, Told(Some(ended))))));
    let endless = Router::new().fallback(move || async move {
        let (begun, told) = told.lock().take().unwrap();
        begun.send(()).unwrap();
        let nothing = futures_util::stream::once(async move {
            let _told = told;
            std::future::pending::<Result<Bytes, std::io::Error>>().await
        });
        Response::new(Body::from_stream(nothing)).into_response()
    });
    let address = serve(endless).await;
    let host = Host::with(&LOOPBACK).await;
    let plugin = host.admit("endless").await;
    host.provide(&plugin, "logger", &format!("http://{address}"))
        .await;
    let request = http::Request::post(host.url(&format!("/services/logger/{}/Log", plugin.id)))
        .header("authorization", format!("Bearer {}", plugin.token))
        .header("x-plugin-runtime-id", &plugin.id)
        .body(http_body_util::Full::default())
        .unwrap();
    let answer = host.client().request(request).await.unwrap();
    assert_eq!(
        answer.status(),
        200,
        "the head is here before the body has begun"
    );
    begin.await.unwrap();
    drop(answer);
    timeout(Duration::from_secs(10), end)
        .await
        .unwrap()
        .unwrap();
    host.stop().await;
}
