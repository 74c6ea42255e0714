//! The rate limiting layer from outside, and the promises of its memory.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_core::{ManualClock, PeerAddr, Rejection};
use tower_plugin_ratelimit::{
    ClientIp, Cost, MemoryLimiter, OnFull, OnMissingKey, Policy, Quota, RateLimitHeaders,
    RateLimitLayer,
    key::{self, Key},
};

#[tokio::test]
async fn a_refused_caller_is_told_when_to_come_back_and_is_admitted_then() {
    let clock = ManualClock::new();
    let mut service =
        RateLimitLayer::with_limiter(limiter(&clock), quota("2/s:2"), key::Global).layer(hello());
    assert_eq!(status(&mut service, from("10.0.0.1:1")).await, 200);
    assert_eq!(status(&mut service, from("10.0.0.1:1")).await, 200);

    let refused = respond(&mut service, from("10.0.0.1:1")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["ratelimit-policy"], "\"default\";q=2;w=1");
    assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=1");
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    let exact = rejection.retry_after().unwrap();
    assert_eq!(exact, Duration::from_millis(500));
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["reason"], "RATE_LIMITED");

    clock.advance(exact - Duration::from_nanos(1));
    assert_eq!(status(&mut service, from("10.0.0.1:1")).await, 429);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(status(&mut service, from("10.0.0.1:1")).await, 200);
}

#[tokio::test]
async fn clients_have_quotas_of_their_own_and_connections_do_not() {
    let clock = ManualClock::new();
    let layer = RateLimitLayer::with_limiter(limiter(&clock), quota("1/h"), ClientIp::peer());
    // A service per connection, as servers make them.
    let mut first = layer.layer(hello());
    let mut second = layer.layer(hello());
    assert_eq!(status(&mut first, from("10.0.0.1:1")).await, 200);
    assert_eq!(status(&mut second, from("10.0.0.1:2")).await, 429);
    assert_eq!(status(&mut second, from("10.0.0.2:2")).await, 200);
    assert_eq!(status(&mut first, from("[2001:db8::1]:2")).await, 200);
    assert_eq!(status(&mut first, from("[2001:db8::ffff]:2")).await, 429);
}

#[tokio::test]
async fn what_a_request_without_a_key_gets_is_the_operators_choice() {
    async fn three(on_missing_key: OnMissingKey) -> [u16; 3] {
        let layer = RateLimitLayer::new(quota("1/h"), ClientIp::peer());
        let mut service = layer.with_on_missing_key(on_missing_key).layer(hello());
        let mut seen = [0; 3];
        for status in &mut seen {
            let nowhere = Request::new(Full::default());
            *status = respond(&mut service, nowhere).await.status().as_u16();
        }
        seen
    }
    assert_eq!(three(OnMissingKey::Refuse).await, [500, 500, 500]);
    assert_eq!(three(OnMissingKey::Share).await, [200, 429, 429]);
    assert_eq!(three(OnMissingKey::Skip).await, [200, 200, 200]);
}

#[tokio::test]
async fn several_limiters_append_to_the_headers() {
    let per_second = Policy::new("second", [quota("5/s")]).unwrap();
    let per_day = Policy::new("day", [quota("100/d")]).unwrap();
    let told =
        |policy| RateLimitLayer::new(policy, key::Global).with_headers(RateLimitHeaders::Always);
    let mut service = told(per_second).layer(told(per_day).layer(hello()));
    let response = respond(&mut service, from("10.0.0.1:1")).await;
    let values: Vec<_> = response.headers().get_all("ratelimit").iter().collect();
    assert_eq!(values, ["\"day\";r=99;t=864", "\"second\";r=4;t=1"]);

    let mut silent = RateLimitLayer::new(quota("1/h"), key::Global)
        .with_headers(RateLimitHeaders::Never)
        .layer(hello());
    assert_eq!(status(&mut silent, from("10.0.0.1:1")).await, 200);
    let refused = respond(&mut silent, from("10.0.0.1:1")).await;
    assert!(!refused.headers().contains_key("ratelimit"));
    assert_eq!(refused.headers()["retry-after"], "3600");
}

/// A million made-up keys leave memory as it was, and the flooder's own key limited.
#[test]
fn f34_a_flood_of_keys_costs_nothing_but_itself() {
    const FLOOD: u64 = 1_000_000;
    let clock = ManualClock::new();
    // Room for a hundredth of the flood.
    let limiter = MemoryLimiter::with_clock(10_000, OnFull::Forget, clock.clone()).unwrap();
    let policy = Policy::from(quota("10/s:10"));
    let spend = |key: &str| limiter.check_key(&policy, key, Cost::ONE).is_allowed();
    let before = limiter.stats();
    assert_eq!((0..20).filter(|_| spend("flooder")).count(), 10);

    let mut admitted_later = 0;
    let memory = allocation_counter::measure(|| {
        for key in 0..FLOOD {
            assert!(limiter.check_key(&policy, key, Cost::ONE).is_allowed());
            // 20 million keys a second; the flooder tries its own now and then.
            clock.advance(Duration::from_nanos(50));
            if key % 1_000 == 0 && spend("flooder") {
                admitted_later += 1;
            }
        }
    });
    assert_eq!(memory.count_total, 0, "allocations");
    let after = limiter.stats();
    assert_eq!((after.bytes, after.slots), (before.bytes, before.slots));
    assert!(after.indebted <= after.slots);
    assert!(after.forgotten > 0, "the flood was larger than the table");
    // 50 ms went by: not one unit of the flooder's came back.
    assert_eq!(admitted_later, 0);
}

#[test]
fn admitting_allocates_nothing() {
    let (mut parts, ()) = from("10.0.0.1:1").map(|_: Full<Bytes>| ()).into_parts();
    parts
        .extensions
        .insert(tower_plugin_core::Principal::new("runtime", "plugin-1"));
    allocates_nothing(ClientIp::peer(), &parts);
    allocates_nothing(key::Principal, &parts);
    allocates_nothing(key::Route, &parts);
    allocates_nothing((ClientIp::peer(), key::Principal), &parts);
}

fn allocates_nothing(key: impl Key + Clone, parts: &Parts) {
    let policy = Policy::new("p", [quota("1000/s"), quota("100000/d")]).unwrap();
    let inner =
        service_fn(|_: Request<()>| std::future::ready(Ok::<_, Infallible>(Response::new(()))));
    let mut service = RateLimitLayer::new(policy, key).layer(inner);
    let requests: Vec<_> = (0..100)
        .map(|_| Request::from_parts(parts.clone(), ()))
        .collect();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    // The first resolves what the policy counts by.
    let first = service.call(Request::from_parts(parts.clone(), ()));
    assert!(std::pin::pin!(first).poll(&mut cx).is_ready());
    let memory = allocation_counter::measure(|| {
        for request in requests {
            let future = std::pin::pin!(service.call(request));
            let std::task::Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
                panic!("a memory limiter never waits");
            };
            assert_eq!(response.status(), 200);
        }
    });
    assert_eq!(memory.count_total, 0);
}

type Hello =
    fn(Request<Full<Bytes>>) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn hello() -> tower::util::ServiceFn<Hello> {
    service_fn(|_| std::future::ready(Ok(Response::new(Full::from("hello")))))
}

async fn respond<S, B>(service: &mut S, request: Request<Full<Bytes>>) -> Response<B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let ready = service.ready().await.unwrap();
    ready.call(request).await.unwrap()
}

async fn status<S, B>(service: &mut S, request: Request<Full<Bytes>>) -> u16
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    respond(service, request).await.status().as_u16()
}

fn from(peer: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(PeerAddr(peer));
    request
}

fn limiter(clock: &ManualClock) -> MemoryLimiter<ManualClock> {
    MemoryLimiter::with_clock(100, OnFull::Forget, clock.clone()).unwrap()
}

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}
