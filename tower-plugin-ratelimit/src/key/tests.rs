use std::hash::DefaultHasher;

use http::request::Parts;
use tower_plugin_core::PeerAddr;

use super::*;

#[test]
fn f31_connections_of_one_client_share_a_key() {
    let by_ip = ClientIp::peer();
    let same = ["10.0.0.1:50001", "10.0.0.1:50002", "[::ffff:10.0.0.1]:1"];
    let keys = same.map(|peer| hash(&by_ip, &from(peer)).unwrap());
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_ne!(hash(&by_ip, &from("10.0.0.2:50001")).unwrap(), keys[0]);

    let network = ["[2001:db8::1]:1", "[2001:db8::ffff:2]:1"];
    let keys = network.map(|peer| hash(&by_ip, &from(peer)).unwrap());
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn f30_a_header_does_not_make_a_new_client() {
    let mut spoofed = from("10.0.0.1:1");
    for name in ["x-forwarded-for", "x-real-ip", "x-plugin-runtime-id"] {
        spoofed
            .headers
            .insert(name, http::HeaderValue::from_static("6.6.6.6"));
    }
    let key = |parts| hash(&(ClientIp::peer(), Global), parts);
    assert_eq!(key(&spoofed), key(&from("10.0.0.1:1")));
}

#[test]
fn a_principal_is_its_kind_and_its_subject() {
    let with = |kind: &'static str, subject: &str| {
        let mut parts = from("10.0.0.1:1");
        parts
            .extensions
            .insert(tower_plugin_core::Principal::new(kind, subject));
        hash(&Principal, &parts).unwrap()
    };
    assert_eq!(with("runtime", "a"), with("runtime", "a"));
    assert_ne!(with("runtime", "a"), with("runtime", "b"));
    assert_ne!(with("runtime", "a"), with("mtls", "a"));
    assert_ne!(with("ab", "c"), with("a", "bc"));
}

#[test]
fn what_is_missing_is_named() {
    let (nowhere, ()) = http::Request::new(()).into_parts();
    let told = |error: Result<u64, MissingKey>| error.unwrap_err().to_string();
    assert!(told(hash(&ClientIp::peer(), &nowhere)).contains("connect info"));
    assert!(told(hash(&(Global, Principal), &nowhere)).contains("principal"));
    assert!(told(hash(&|_: &RequestHead<'_>| None::<u8>, &nowhere)).contains("closure"));
    let by_header = UntrustedHeader(HeaderName::from_static("x-tenant"));
    assert!(told(hash(&by_header, &nowhere)).contains("header"));
}

/// What admin code resets is what the requests spent.
#[test]
fn a_key_written_as_a_value_is_the_key_of_the_request() {
    let mut parts = from("[2001:db8::1]:50001");
    parts.method = http::Method::PUT;
    parts.uri = "/pkg.Service/Method?query".parse().unwrap();
    parts.headers.insert("x-tenant", "blue".parse().unwrap());
    let authenticated = tower_plugin_core::Principal::new("runtime", "a");
    parts.extensions.insert(authenticated);

    let by_ip = ClientIp::peer().with_ipv6_prefix(48).unwrap();
    let by_header = UntrustedHeader(HeaderName::from_static("x-tenant"));
    // Another address of the same network.
    let ip = ip(&by_ip, "2001:db8:0:1::7".parse().unwrap());
    let principal = principal("runtime", "a");
    let route = route("PUT", "/pkg.Service/Method");
    let header = untrusted_header(b"blue");

    let of = |key: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        key(&mut hasher);
        hasher.finish()
    };
    let cases = [
        ("ip", hash(&by_ip, &parts), of(&|h| ip.hash(h))),
        (
            "principal",
            hash(&Principal, &parts),
            of(&|h| principal.hash(h)),
        ),
        ("route", hash(&Route, &parts), of(&|h| route.hash(h))),
        ("header", hash(&by_header, &parts), of(&|h| header.hash(h))),
        ("global", hash(&Global, &parts), of(&|h| ((), ()).hash(h))),
        (
            "two",
            hash(&(by_ip.clone(), Route), &parts),
            of(&|h| (ip, route).hash(h)),
        ),
        (
            "three",
            hash(&(Principal, by_header.clone(), (Global, Route)), &parts),
            of(&|h| (principal, header, ((), route)).hash(h)),
        ),
    ];
    for (name, of_request, of_value) in cases {
        assert_eq!(of_request.unwrap(), of_value, "{name}");
    }

    let limiter = crate::MemoryLimiter::default();
    let policy = crate::Policy::from(crate::Quota::per_hour(1).unwrap());
    let check = |hasher| crate::Limiter::check(&limiter, &policy, hasher, crate::Cost::ONE);
    let mut of_request = crate::Limiter::hasher(&limiter, &policy);
    (Principal, Route)
        .key(&(&parts).into(), &mut of_request)
        .unwrap();
    assert!(matches!(check(of_request), tower_plugin_core::Answer::Ready(Ok(d)) if d.is_allowed()));
    let of_value = limiter.check_key(&policy, (principal, route), crate::Cost::ONE);
    assert!(!of_value.is_allowed());
}

#[test]
fn no_key_allocates() {
    let mut parts = from("10.0.0.1:1");
    parts.uri = "/pkg.Service/Method".parse().unwrap();
    parts.headers.insert("x-tenant", "blue".parse().unwrap());
    let principal = tower_plugin_core::Principal::new("runtime", "a");
    parts.extensions.insert(principal);

    let by_header = UntrustedHeader(HeaderName::from_static("x-tenant"));
    let memory = allocation_counter::measure(|| {
        hash(&ClientIp::peer(), &parts).unwrap();
        hash(&Principal, &parts).unwrap();
        hash(&Route, &parts).unwrap();
        hash(&by_header, &parts).unwrap();
        hash(&(Principal, Route, Global), &parts).unwrap();
    });
    assert_eq!(memory.count_total, 0);
}

#[test]
fn a_route_is_its_method_and_its_path() {
    let of = |method: &str, uri: &str| {
        let mut parts = from("10.0.0.1:1");
        parts.method = method.parse().unwrap();
        parts.uri = uri.parse().unwrap();
        hash(&Route, &parts).unwrap()
    };
    assert_eq!(of("GET", "/a?x=1"), of("GET", "http://host/a?x=2"));
    assert_ne!(of("GET", "/a"), of("POST", "/a"));
    assert_ne!(of("GET", "/a"), of("GET", "/b"));
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn ids_in_a_matched_path_make_no_new_routes() {
    use axum::{Router, body::Body, routing::get};
    use tower::ServiceExt;

    let limit = crate::RateLimitLayer::new(crate::Quota::per_hour(1).unwrap(), Route);
    let app = Router::new()
        .route("/users/{id}", get(|| async {}).put(|| async {}))
        .route("/groups/{id}", get(|| async {}))
        .layer(limit);
    for (method, path, expected) in [
        ("GET", "/users/1", 200),
        ("GET", "/users/2", 429),
        ("PUT", "/users/2", 200),
        ("GET", "/groups/1", 200),
        ("GET", "/groups/2", 429),
        // Nobody's pattern: each of these is on its own.
        ("GET", "/elsewhere/1", 404),
        ("GET", "/elsewhere/2", 404),
        ("GET", "/elsewhere/2", 429),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {path}");
    }
}

fn hash(key: &impl Key, parts: &Parts) -> Result<u64, MissingKey> {
    let mut hasher = DefaultHasher::new();
    key.key(&parts.into(), &mut hasher)?;
    Ok(hasher.finish())
}

fn from(peer: &str) -> Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.extensions.insert(PeerAddr(peer.parse().unwrap()));
    parts
}
