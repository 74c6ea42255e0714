//! A request through the layer: keyed by the peer address, 1,000 clients, 13 headers.
//!
//! Requests are built outside the timed part, which is `ready`, `call`, `await` and dropping the
//! response.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU64,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::IntoResponse,
    routing::{Route, get},
};
use axum_gcra::real_ip::RealIp;
use futures_util::FutureExt;
use governor::middleware::NoOpMiddleware;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt, layer::util::Identity, service_fn, util::ServiceFn};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::PeerIpKeyExtractor,
};
use tower_plugin_ratelimit::{ClientIp, Quota, RateLimitLayer};

use crate::runner::{Against, Case, Contender, Contest, now};

pub(super) fn cases() -> Vec<Case> {
    let versus = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    vec![
        versus("layer-admit", "tower_governor", 1.0, || Contest {
            ours: bare(ours(PLENTY)),
            peer: bare(tower_governor(Duration::from_nanos(1), 1 << 30)),
            baseline: Some(bare(Identity::new())),
        }),
        versus("layer-admit-axum-gcra", "axum_gcra", 1.0, || Contest {
            ours: bare(ours(PLENTY)),
            peer: bare(axum_gcra(Duration::from_nanos(1), 1 << 30)),
            baseline: Some(bare(Identity::new())),
        }),
        Case {
            id: "layer-admit-allocs",
            unit: "allocs",
            against: Against::Limit {
                at_most: 0.0,
                ours: || allocations(ours(PLENTY)),
            },
        },
        versus("layer-refuse", "tower_governor", 30.0, || Contest {
            ours: refusing(ours(ONE_AN_HOUR)),
            peer: refusing(tower_governor(Duration::from_secs(3600), 1)),
            baseline: None,
        }),
        // At most one and a half times what it costs to admit.
        versus("layer-refuse-vs-admit", "our admit", 0.67, || Contest {
            ours: refusing(ours(ONE_AN_HOUR)),
            peer: Contender::paced(calls(routed(ours(PLENTY)), StatusCode::OK)),
            baseline: None,
        }),
    ]
}

fn ours(quota: &str) -> RateLimitLayer<ClientIp> {
    let quota: Quota = quota.parse().expect("a quota");
    RateLimitLayer::new(quota, ClientIp::peer())
}

fn tower_governor(
    period: Duration,
    burst: u32,
) -> GovernorLayer<PeerIpKeyExtractor, NoOpMiddleware, Body> {
    let mut config = GovernorConfigBuilder::default();
    let config = config.period(period).burst_size(burst).finish();
    GovernorLayer::new(Arc::new(config.expect("a valid configuration")))
}

fn axum_gcra(period: Duration, burst: u64) -> axum_gcra::RateLimitLayer<RealIp> {
    let burst = NonZeroU64::new(burst).expect("not zero");
    axum_gcra::RateLimitLayer::builder()
        .with_default_quota(axum_gcra::gcra::Quota::new(period, burst))
        .build()
}

/// Around a service that does nothing.
fn bare<L, S, B>(layer: L) -> Contender
where
    L: Layer<Hello, Service = S>,
    S: Service<Request<Body>, Response = Response<B>, Error: Debug> + 'static,
    B: 'static,
{
    Contender::paced(calls(layer.layer(hello()), StatusCode::OK))
}

/// How often a request around a service that does nothing allocates, once its client is known.
fn allocations<L, S, B>(layer: L) -> Contender
where
    L: Layer<Hello, Service = S>,
    S: Service<Request<Body>, Response = Response<B>, Error: Debug> + 'static,
    B: 'static,
{
    let mut service = layer.layer(hello());
    let mut call = move |request| {
        let ready = service.ready().now_or_never().expect("no need to wait");
        let called = ready.expect("no failure").call(request).now_or_never();
        let response = called.expect("no need to wait").expect("no failure");
        assert_eq!(response.status(), StatusCode::OK);
    };
    (0..CLIENTS).map(request).for_each(&mut call);
    Contender::whole(move || {
        let requests: Vec<_> = (0..CLIENTS).map(request).collect();
        let counted = allocation_counter::measure(|| requests.into_iter().for_each(&mut call));
        counted.count_total as f64 / CLIENTS as f64
    })
}

pub(super) fn hello() -> Hello {
    service_fn(|_| ready(Ok(Response::new(Body::empty()))))
}

pub(super) type Hello = ServiceFn<fn(Request<Body>) -> Ready<Result<Response<Body>, Infallible>>>;

/// In an axum router, every client's quota spent.
fn refusing<L, S>(layer: L) -> Contender
where
    L: Layer<Route, Service = S> + Clone + Send + Sync + 'static,
    S: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse + 'static,
    S::Future: Send + 'static,
{
    let router = routed(layer);
    calls(router.clone(), StatusCode::OK)(CLIENTS);
    Contender::paced(calls(router, StatusCode::TOO_MANY_REQUESTS))
}

fn routed<L, S>(layer: L) -> Router
where
    L: Layer<Route, Service = S> + Clone + Send + Sync + 'static,
    S: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse + 'static,
    S::Future: Send + 'static,
{
    // As `axum::serve` does: routes are put together once, not for every request.
    let router = Router::new().route("/", get(async || ()));
    router.layer(layer).with_state(())
}

fn calls<S, B>(service: S, expected: StatusCode) -> impl FnMut(u64) -> Duration
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    calls_of(request, service, expected)
}

/// Calls in batches; requests are built while the clock stands still.
pub(super) fn calls_of<S, B>(
    request: impl Fn(u64) -> Request<Body>,
    mut service: S,
    expected: StatusCode,
) -> impl FnMut(u64) -> Duration
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let mut client = 0;
    move |iterations| {
        let mut took = Duration::ZERO;
        let mut left = iterations;
        while left > 0 {
            let batch = left.min(64);
            left -= batch;
            let requests: Vec<_> = (0..batch)
                .map(|_| {
                    client = (client + 1) % CLIENTS;
                    request(client)
                })
                .collect();
            took += runtime.block_on(async {
                let start = now();
                for request in requests {
                    let ready = service.ready().await.expect("no failure");
                    let response = ready.call(request).await.expect("no failure");
                    assert_eq!(response.status(), expected);
                }
                start.elapsed()
            });
        }
        took
    }
}

pub(super) fn request(client: u64) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    let ip = Ipv4Addr::from_bits(0x0a00_0000 + client as u32);
    let peer = SocketAddr::from((ip, 40_000 + client as u16));
    request.extensions_mut().insert(ConnectInfo(peer));
    // What axum_gcra's own outer layer leaves: it needs an older axum, with another `ConnectInfo`.
    request.extensions_mut().insert(RealIp(IpAddr::V4(ip)));
    request
}

pub(super) const CLIENTS: u64 = 1000;
const ONE_AN_HOUR: &str = "1/h";
const PLENTY: &str = "1000000000/s";
const HEADERS: [(&str, &str); 13] = [
    ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.7"),
    ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
    ("cache-control", "no-cache"),
    ("content-type", "application/json"),
    ("cookie", "session=0123456789abcdef; theme=dark"),
    ("host", "api.example.com"),
    ("referer", "https://app.example.com/orders"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
    ),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "4f6c2a1e-9b0d-4c55-8a53-0d8f5b1f6a11"),
];
