//! Who is admitted, for how long, and what the others are told.

use std::pin::pin;

use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};
use tower_plugin_ratelimit::{
    OnMissingKey, RequestHead, ResponseBody,
    concurrency::{
        Concurrency, ConcurrencyLimitLayer, ConcurrencyLimiter, InvalidConcurrency, PermitBody,
    },
    key,
};

use tower_plugin_tests::{Chunks, Probe};

#[tokio::test]
async fn a_permit_is_held_until_the_body_has_ended() {
    let layer = one_at_a_time();
    let in_flight = || layer.limiter().stats().in_flight;
    let response = call(&layer, of("a")).await;
    let mut body = pin!(response.into_body());
    for frame in 1..=3 {
        assert_eq!(in_flight(), 1, "before frame {frame}");
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(
        in_flight(),
        1,
        "nothing has said yet that this was the last"
    );
    assert!(body.frame().await.is_none());
    assert_eq!(in_flight(), 0, "though the body is still there");
}

/// Servers do not ask a body again that says it has ended.
#[tokio::test]
async fn a_body_that_says_so_gives_back_its_permit_with_the_last_frame() {
    let layer = one_at_a_time();
    let in_flight = || layer.limiter().stats().in_flight;
    let response = call(&layer, of("a").map(Chunks::that_says_when_it_ended)).await;
    let mut body = pin!(response.into_body());
    for _ in 1..=3 {
        assert_eq!(in_flight(), 1);
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(in_flight(), 0);

    let _nothing_to_read = call(&layer, of("a").map(Chunks::empty)).await;
    assert_eq!(in_flight(), 0);
}

#[tokio::test]
async fn a_body_that_is_dropped_gives_back_its_permit() {
    let layer = one_at_a_time();
    let mut body = call(&layer, of("a")).await.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(call(&layer, of("a")).await.status(), 429);
    drop(body);
    assert_eq!(call(&layer, of("a")).await.status(), 200);
}

#[tokio::test]
async fn keys_have_permits_of_their_own_and_are_forgotten() {
    let layer = one_at_a_time();
    let a = call(&layer, of("a")).await;
    let b = call(&layer, of("b")).await;
    assert_eq!((a.status().as_u16(), b.status().as_u16()), (200, 200));
    assert_eq!(call(&layer, of("b")).await.status(), 429);
    assert_eq!(layer.limiter().stats().keys, 2);
    drop((a, b));
    assert_eq!(
        layer.limiter().stats(),
        ConcurrencyLimiter::new(per_key(1)).stats()
    );
}

#[tokio::test]
async fn a_refused_caller_is_told_in_its_own_protocol() {
    let limit = per_key(1).with_name("uploads").unwrap();
    let layer = ConcurrencyLimitLayer::new(limit, by_tenant);
    let _held = call(&layer, of("a")).await;
    let refused = call(&layer, of("a")).await;
    assert_eq!(refused.status(), 429);
    let headers = refused.headers();
    assert_eq!(
        headers["ratelimit-policy"],
        r#""uploads";q=1;qu="concurrent-requests""#
    );
    assert_eq!(headers["ratelimit"], r#""uploads";r=0"#);
    assert_eq!(headers["retry-after"], "1");

    let mut grpc = of("a");
    let content_type = "application/grpc".parse().unwrap();
    grpc.headers_mut().insert("content-type", content_type);
    let refused = call(&layer, grpc).await;
    assert_eq!(refused.status(), 200);
    // RESOURCE_EXHAUSTED.
    assert_eq!(refused.headers()["grpc-status"], "8");
}

#[tokio::test]
async fn beyond_the_total_the_server_is_overloaded_and_no_key_is_blamed() {
    let layer = ConcurrencyLimitLayer::new(per_key(1).with_total(2).unwrap(), by_tenant);
    let a = call(&layer, of("a")).await;
    let _b = call(&layer, of("b")).await;
    for tenant in ["a", "c"] {
        let refused = call(&layer, of(tenant)).await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert!(!refused.headers().contains_key("ratelimit"));
    }
    drop(a);
    // Refused by its key, it takes nothing from the total.
    assert_eq!(call(&layer, of("b")).await.status(), 429);
    assert_eq!(call(&layer, of("c")).await.status(), 200);
}

#[tokio::test]
async fn what_a_request_without_a_key_gets_is_the_operators_choice() {
    async fn two(on_missing_key: OnMissingKey) -> [u16; 2] {
        let layer = one_at_a_time().with_on_missing_key(on_missing_key);
        let first = call(&layer, Request::default()).await;
        let second = call(&layer, Request::default()).await;
        [first.status().as_u16(), second.status().as_u16()]
    }
    assert_eq!(two(OnMissingKey::Refuse).await, [500, 500]);
    assert_eq!(two(OnMissingKey::Share).await, [200, 429]);
    assert_eq!(two(OnMissingKey::Skip).await, [200, 200]);
}

#[tokio::test]
async fn handlers_and_layers_count_together_on_one_limiter() {
    let limiter = ConcurrencyLimiter::new(per_key(1));
    let layer = ConcurrencyLimitLayer::with_limiter(limiter.clone(), by_tenant);
    let permit = limiter.try_acquire(String::from("a")).unwrap();
    assert_eq!(call(&layer, of("a")).await.status(), 429);
    assert_eq!(call(&layer, of("b")).await.status(), 200);
    drop(permit);
    let _held = call(&layer, of("a")).await;
    assert!(limiter.try_acquire(String::from("a")).is_none());
}

#[tokio::test]
async fn being_limited_allocates_nothing() {
    let limiter = ConcurrencyLimiter::new(per_key(2));
    // Each shard's map is made on first use.
    let warm: Vec<_> = (0..10_000).map(|key| limiter.try_acquire(key)).collect();
    drop(warm);
    let memory = allocation_counter::measure(|| {
        for key in 0..10_000 {
            let both = (limiter.try_acquire(key), limiter.try_acquire(key));
            assert!(both.0.is_some() && both.1.is_some());
            assert!(limiter.try_acquire(key).is_none());
        }
    });
    assert_eq!(memory.count_total, 0);
}

#[test]
fn memory_follows_what_is_in_flight_and_not_what_was() {
    let limiter = ConcurrencyLimiter::new(per_key(1));
    let mut permits = Vec::with_capacity(200_000);
    let peak = allocation_counter::measure(|| {
        permits.extend((0..200_000).map(|key| limiter.try_acquire(key)));
    });
    let each = peak.bytes_current / 200_000;
    assert!(each < 200, "{each} bytes for each key");
    let over = allocation_counter::measure(|| permits.clear());
    let left = peak.bytes_current + over.bytes_current;
    assert!(
        left < peak.bytes_current / 5,
        "{left} of {}",
        peak.bytes_current
    );
}

#[test]
fn an_impossible_limit_is_refused_with_its_range() {
    use InvalidConcurrency as Invalid;
    let limit = per_key(8);
    let long = "x".repeat(65);
    let cases = [
        (Concurrency::per_key(0), Invalid::PerKey, "1 to 4294967295"),
        (limit.clone().with_name(""), Invalid::Name, "1 to 64"),
        (limit.clone().with_name("a\"b"), Invalid::Name, "1 to 64"),
        (limit.clone().with_name(long), Invalid::Name, "1 to 64"),
        (limit.clone().with_total(7), Invalid::Total, "at least"),
    ];
    for (refused, expected, range) in cases {
        let refused = refused.unwrap_err();
        assert_eq!(refused, expected);
        assert!(refused.to_string().contains(range), "{refused}");
    }
    assert_eq!(limit.with_total(8).unwrap().total(), 8);
}

fn one_at_a_time() -> ConcurrencyLimitLayer<fn(&RequestHead<'_>) -> Option<String>> {
    ConcurrencyLimitLayer::new(per_key(1), by_tenant)
}

fn per_key(max: u32) -> Concurrency {
    Concurrency::per_key(max).unwrap()
}

async fn call<K: key::Key + Clone>(
    layer: &ConcurrencyLimitLayer<K>,
    request: Request<Chunks>,
) -> http::Response<ResponseBody<PermitBody<Chunks>>> {
    layer
        .layer(Probe::default())
        .oneshot(request)
        .await
        .unwrap()
}

/// What a request is for; without the header it has no key.
fn by_tenant(request: &RequestHead<'_>) -> Option<String> {
    let tenant = request.headers.get("x-tenant")?;
    Some(tenant.to_str().ok()?.to_owned())
}

fn of(tenant: &'static str) -> Request<Chunks> {
    let mut request = Request::new(Chunks::default());
    let tenant = HeaderValue::from_static(tenant);
    request.headers_mut().insert("x-tenant", tenant);
    request
}
