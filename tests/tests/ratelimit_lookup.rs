//! Policies that are looked up, presets, and what is told to the `metrics` facade.

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, Response};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_ratelimit::{
    ManualClock, MemoryLimiter, OnFull, Policy, PolicySource, Quota, RateLimitLayer, RequestHead,
    key, lookup::PolicyLookupLayer, preset,
};

#[tokio::test]
async fn many_requests_of_one_caller_ask_once_and_the_answer_is_kept() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let gold = policy("gold", "100/h");
    let lookup = PolicyLookupLayer::new(
        by_path,
        move |_| {
            counter.fetch_add(1, SeqCst);
            let gold = gold.clone();
            async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Some(gold))
            }
        },
        Duration::from_secs(60),
        100,
    );
    let limit = RateLimitLayer::new(PolicySource::found(policy("free", "1/h")), key::Global);
    let service = lookup.unwrap().layer(limit.layer(ok()));

    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        calls.spawn(service.clone().oneshot(to("/a")));
    }
    let mut admitted = 0;
    while let Some(response) = calls.join_next().await {
        admitted += usize::from(response.unwrap().unwrap().status() == 200);
    }
    assert_eq!((admitted, asked.load(SeqCst)), (50, 1));
    service.clone().oneshot(to("/b")).await.unwrap();
    assert_eq!(asked.load(SeqCst), 2);
}

#[tokio::test]
async fn who_has_no_plan_takes_what_holds_otherwise() {
    let lookup = PolicyLookupLayer::new(
        by_path,
        async |_| Ok::<_, Infallible>(None),
        Duration::from_secs(60),
        100,
    );
    let limit = RateLimitLayer::new(PolicySource::found(policy("free", "1/h")), key::Global);
    let service = lookup.unwrap().layer(limit.layer(ok()));
    let mut seen = Vec::new();
    for _ in 0..2 {
        let response = service.clone().oneshot(to("/a")).await.unwrap();
        seen.push(response.status().as_u16());
    }
    assert_eq!(seen, [200, 429]);
}

#[tokio::test]
async fn a_lookup_that_fails_is_503_and_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let lookup = PolicyLookupLayer::new(
        by_path,
        move |_| {
            let fails = counter.fetch_add(1, SeqCst) == 0;
            ready(if fails { Err("db: s3cr3t") } else { Ok(None) })
        },
        Duration::from_secs(60),
        100,
    );
    let limit = RateLimitLayer::new(PolicySource::found(policy("free", "9/h")), key::Global);
    let service = lookup.unwrap().layer(limit.layer(ok()));
    let refused = service.clone().oneshot(to("/a")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let served = service.clone().oneshot(to("/a")).await.unwrap();
    assert_eq!(served.status(), 200);
}

#[test]
fn a_lookup_out_of_range_is_refused() {
    let build = |ttl, capacity| {
        let lookup = async |_| Ok::<_, Infallible>(None);
        PolicyLookupLayer::new(by_path, lookup, ttl, capacity).map(|_| ())
    };
    let cases = [
        (Duration::ZERO, 1, "ttl must be in 1 ms to 24 hours"),
        (Duration::from_secs(86_401), 1, "ttl must be in"),
        (
            Duration::from_secs(1),
            0,
            "capacity must be in 1 to 10000000",
        ),
    ];
    for (ttl, capacity, told) in cases {
        let refused = build(ttl, capacity).unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
}

#[tokio::test]
async fn f39_the_preset_gives_each_endpoint_its_own_quota() {
    let limiter = MemoryLimiter::with_clock(100, OnFull::Forget, ManualClock::new()).unwrap();
    let policies = preset::connect_plugin().unwrap();
    let service = RateLimitLayer::with_limiter(limiter, policies, key::Global).layer(ok());
    let cases = [
        ("/connectplugin.v1.HandshakeService/Handshake", 20),
        ("/connectplugin.v1.ServiceRegistry/RegisterService", 5),
        ("/connectplugin.v1.ServiceRegistry/UnregisterService", 5),
        ("/connectplugin.v1.ServiceRegistry/DiscoverService", 200),
        ("/connectplugin.v1.ServiceRegistry/WatchService", 3),
        ("/connectplugin.v1.CapabilityBroker/RequestCapability", 20),
    ];
    for (path, burst) in cases {
        for _ in 0..burst {
            let response = service.clone().oneshot(to(path)).await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
        }
        let response = service.clone().oneshot(to(path)).await.unwrap();
        assert_eq!(response.status(), 429, "{path}");
    }
}

#[test]
fn metrics_are_counted_by_policy_and_event() {
    let recorder = Counts::default();
    let mut service = RateLimitLayer::new(policy("api", "2/h"), key::Global).layer(ok());
    metrics::with_local_recorder(&recorder, || {
        for _ in 0..5 {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let future = std::pin::pin!(service.call(to("/")));
            assert!(future.poll(&mut cx).is_ready());
        }
    });
    let seen = recorder.0.lock().unwrap();
    let count = |event: &str| {
        let name = format!("tower_plugin_ratelimit_requests_total api {event}");
        seen.iter().filter(|key| **key == name).count()
    };
    assert_eq!((count("allowed"), count("denied")), (2, 3), "{seen:?}");
}

/// Remembers which counters were incremented.
#[derive(Debug, Default)]
struct Counts(Arc<Mutex<Vec<String>>>);

struct Increment(Arc<Mutex<Vec<String>>>, String);

impl CounterFn for Increment {
    fn increment(&self, _: u64) {
        self.0.lock().unwrap().push(self.1.clone());
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels().map(metrics::Label::value);
        let name = [key.name()].into_iter().chain(labels);
        let name = name.collect::<Vec<_>>().join(" ");
        Counter::from_arc(Arc::new(Increment(Arc::clone(&self.0), name)))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn ok() -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<()>, Infallible>>,
> + Clone {
    service_fn(|_| ready(Ok(Response::new(()))))
}

fn by_path(request: &RequestHead<'_>) -> Option<Box<str>> {
    Some(request.uri.path().into())
}

fn to(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

fn policy(name: &str, quota: &str) -> Policy {
    let quota: Quota = quota.parse().unwrap();
    Policy::new(name, [quota]).unwrap()
}
