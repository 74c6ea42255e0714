//! What a request that is in order costs in memory. The allocator counts per thread.

use std::{convert::Infallible, hint::black_box, pin::pin, task};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use tower_plugin_validate::{
    Route, RouteRules, RuleSet, SanitizeErrorsLayer, ValidateLayer,
    format::{Format, Hosts, UrlRule},
    framing::{FramingRules, Head, Version},
    limits::Limits,
    metadata::{Rule, Schema},
    path::{PathRules, canonical},
    sanitize::PublicError,
};

/// Twenty fields as a browser behind a proxy sends them, one of them with an underscore.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "api.example.com"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
        ),
        ("accept", "application/json"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        (
            "authorization",
            "Bearer 0123456789abcdef0123456789abcdef0123456789abcdef",
        ),
        ("content-type", "application/json"),
        ("content-length", "1234"),
        ("origin", "https://app.example.com"),
        ("referer", "https://app.example.com/orders"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("x-forwarded-for", "203.0.113.7, 198.51.100.4"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-site"),
        ("cache-control", "no-cache"),
        ("x-plugin-runtime-id", "logger-0123456789abcdef"),
        ("x_tenant", "7"),
    ] {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    assert_eq!(headers.len(), 20);
    headers
}

#[test]
fn the_engines_pass_twenty_headers_and_a_plain_path_without_allocating() {
    let headers = headers();
    let limits = Limits::http();
    let mut faults = 0;
    let info = allocation_counter::measure(|| {
        let path = black_box("/api/v1/orders/7b0a9a3e-8a86-4f4f/items.json");
        let mut report = |_| faults += 1;
        assert!(
            limits
                .check_target(path.len(), path.as_bytes(), Some(b"page=2&size=50"))
                .is_ok()
        );

        let mut tally = limits.tally();
        let mut scan = FramingRules::http().scan(Version::Http11);
        for (name, value) in &headers {
            let name = name.as_str().as_bytes();
            assert!(tally.field(name, value.as_bytes()).is_ok());
            scan.field(name, value.as_bytes(), &mut report);
        }
        let octets = |(name, value)| {
            let (name, value): (&HeaderName, &HeaderValue) = (name, value);
            (name.as_str().as_bytes(), value.as_bytes())
        };
        scan.finish(Head::default(), || headers.iter().map(octets), &mut report);

        assert!(canonical(path, &PathRules::http()).is_ok_and(|path| path.is_unchanged()));
        // The closer look does not allocate either.
        assert!(canonical(black_box("/caf%C3%A9/.well-known"), &PathRules::http()).is_ok());
    });
    assert_eq!(faults, 0);
    assert_eq!(info.count_total, 0);
}

#[test]
fn the_layer_allocates_nothing_but_the_extension_it_is_asked_for() {
    let callback = UrlRule::https().with_hosts(Hosts::new(["*.example.com"]).unwrap());
    let schema = Schema::builder()
        .key("x-request-id", Rule::from(Format::Uuid).required())
        .key("origin", Rule::url(callback))
        .key("x-plugin-runtime-id", Format::SelfId)
        .key("sec-fetch-site", Rule::one_of(["none", "same-site"]))
        .key("content-length", Rule::integer(0..=9999))
        .key("accept-encoding", Rule::text().list(8))
        .key("trace-bin", Rule::binary(16))
        .prefix("x-", Rule::text().repeated(2).max_names(9))
        .cross(
            "PROTO",
            "x-forwarded-proto needs x-forwarded-for",
            |fields| fields.has("x-forwarded-for") || !fields.has("x-forwarded-proto"),
        )
        .build()
        .unwrap();
    let orders = Route::new("/api/{version}/orders").unwrap();
    let rules = RuleSet::http()
        .with_schema(schema.clone())
        .with_route(orders, RouteRules::new().with_schema(schema));
    for rules in [RuleSet::http(), rules] {
        assert_eq!(allocations_under(rules.clone(), Extensions::Used), 0);
        assert_eq!(allocations_under(rules.clone(), Extensions::New), 0);
        let rules = rules.with_canonical_path(true);
        // The value, which `http::Extensions` boxes.
        assert_eq!(allocations_under(rules.clone(), Extensions::Used), 1);
        // And the map for it, if nothing was there before.
        assert_eq!(allocations_under(rules, Extensions::New), 3);
    }
    // The counter counts: one more allocation is seen.
    let counted = allocation_counter::measure(|| drop(black_box(Box::new(7))));
    assert_eq!(counted.count_total, 1);
}

/// Whether a server has left something in the request's extensions.
#[derive(Clone, Copy)]
enum Extensions {
    New,
    Used,
}

fn allocations_under(rules: RuleSet, extensions: Extensions) -> u64 {
    let inner = service_fn(|request: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(request)))
    });
    let mut service = ValidateLayer::new(rules).layer(inner);
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("/api/v1/orders?page=2");
    *request.headers_mut() = headers();
    let trace = HeaderValue::from_static("AAE=");
    request.headers_mut().insert("trace-bin", trace);
    if matches!(extensions, Extensions::Used) {
        request.extensions_mut().insert(1_u8);
    }

    let mut forwarded = None;
    let info = allocation_counter::measure(|| {
        let mut future = pin!(service.call(request));
        let mut context = task::Context::from_waker(task::Waker::noop());
        if let task::Poll::Ready(Ok(response)) = future.as_mut().poll(&mut context) {
            forwarded = Some(response);
        }
    });
    assert!(forwarded.is_some_and(|response| response.status() == StatusCode::OK));
    info.count_total
}

#[test]
fn an_answer_that_needs_no_sanitizing_passes_without_allocating() {
    // A router may make a service for every request.
    let layer = SanitizeErrorsLayer::new().with_message("something broke");
    for status in [200, 204, 304, 400, 404, 429, 503] {
        let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = headers();
        response
            .headers_mut()
            .insert("server", HeaderValue::from_static("app/1.2.3"));
        if status == 503 {
            response.extensions_mut().insert(PublicError);
        }
        let mut response = Some(response);
        let inner = service_fn(move |_: Request<()>| std::future::ready(response.take().ok_or(())));
        let mut request = Request::new(());
        *request.headers_mut() = headers();

        let mut passed = None;
        let info = allocation_counter::measure(|| {
            let mut service = layer.layer(inner);
            let mut future = pin!(service.call(request));
            let mut context = task::Context::from_waker(task::Waker::noop());
            if let task::Poll::Ready(Ok(response)) = future.as_mut().poll(&mut context) {
                passed = Some(response);
            }
        });
        let passed = passed.unwrap();
        assert_eq!(passed.status(), status);
        assert_eq!(passed.headers(), &headers());
        assert_eq!(info.count_total, 0, "{status}");
    }
}
