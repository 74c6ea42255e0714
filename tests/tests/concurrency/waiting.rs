//! Requests that wait in line for a permit. The clock is paused: it moves when everybody waits.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use http::{Request, Response};
use proptest::prelude::*;
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_ratelimit::{
    concurrency::{Concurrency, ConcurrencyLimitLayer, InvalidConcurrency},
    key,
};

use tower_plugin_tests::{Broken, Chunks, Probe};

#[tokio::test(start_paused = true)]
async fn requests_are_served_in_the_order_they_came() {
    let served = Arc::new(Mutex::new(Vec::new()));
    let in_handler = Arc::clone(&served);
    let handler = service_fn(move |request: Request<Chunks>| {
        let served = Arc::clone(&in_handler);
        async move {
            let number = request.extensions().get::<u32>().copied();
            served.lock().unwrap().push(number.unwrap());
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Broken>(Response::new(request.into_body().empty()))
        }
    });
    let service = layer(2, 100, Duration::from_secs(60)).layer(handler);
    let started = Instant::now();
    let mut requests = JoinSet::new();
    for number in 0..20_u32 {
        let mut request = Request::new(Chunks::default());
        request.extensions_mut().insert(number);
        let service = service.clone();
        requests.spawn(async move { service.oneshot(request).await.unwrap().status() });
        tokio::task::yield_now().await;
    }
    let statuses = requests.join_all().await;
    assert!(statuses.iter().all(|status| status.is_success()));
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!(started.elapsed().as_secs(), 10, "two at a time");
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_bounded_and_so_is_the_line() {
    let layer = layer(1, 1, Duration::from_millis(250));
    let service = layer.layer(Probe::default());
    let held = service.clone().oneshot(Request::default()).await.unwrap();

    let started = Instant::now();
    let waits = tokio::spawn(service.clone().oneshot(Request::default()));
    tokio::task::yield_now().await;
    assert_eq!(layer.limiter().stats().waiting, 1);
    // The line is full.
    let refused = service.clone().oneshot(Request::default()).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), started.elapsed().as_millis()),
        (429, 0)
    );

    let refused = waits.await.unwrap().unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(started.elapsed().as_millis(), 250);
    assert_eq!(layer.limiter().stats().waiting, 0);

    // Who waits as the permit comes back has it at once.
    let waits = tokio::spawn(service.oneshot(Request::default()));
    tokio::task::yield_now().await;
    drop(held);
    assert_eq!(waits.await.unwrap().unwrap().status(), 200);
    assert_eq!(started.elapsed().as_millis(), 250);
}

/// The ready service waits with its request, and the clone is left.
#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_the_one_called_after_the_wait() {
    let probe = Probe::default();
    let account = probe.account();
    let layer = layer(1, 10, Duration::from_secs(1));
    let mut service = layer.layer(probe);
    let permit = layer.limiter().try_acquire(()).unwrap();
    let waits = service.ready().await.unwrap().call(Request::default());
    let waits = tokio::spawn(waits);
    tokio::task::yield_now().await;
    drop(permit);
    assert_eq!(waits.await.unwrap().unwrap().status(), 200);
    assert_eq!(
        (account.calls(), account.calls_unready.load(SeqCst)),
        (1, 0)
    );
}

/// Given up on at any point: before it was polled, in line, or with a permit it has not noticed.
#[tokio::test(start_paused = true)]
async fn a_request_that_gives_up_leaves_the_line_and_passes_its_permit_on() {
    for polls in 0..2 {
        for is_given_a_permit in [false, true] {
            let layer = layer(1, 10, Duration::from_secs(60));
            let mut service = layer.layer(Probe::default());
            let canary = Arc::new(());
            let permit = layer.limiter().try_acquire(()).unwrap();
            let first = service.ready().await.unwrap();
            let mut first = Box::pin(first.call(Request::new(Chunks::new(&canary))));
            let second = Woken::default();
            let mut waits = pin!(service.ready().await.unwrap().call(Request::default()));
            for _ in 0..polls {
                assert!(second.poll(&mut first).is_pending());
            }
            let third = Woken::default();
            assert!(third.poll(&mut waits).is_pending());
            assert_eq!(layer.limiter().stats().waiting, 2);

            if is_given_a_permit {
                drop(permit);
                assert_eq!(layer.limiter().stats().waiting, 1);
                assert_eq!(second.count(), polls, "woken if somebody looks");
                drop(first);
            } else {
                drop(first);
                assert_eq!(layer.limiter().stats().waiting, 1);
                assert_eq!(third.count(), 0);
                drop(permit);
            }
            assert_eq!(Arc::strong_count(&canary), 1);
            assert_eq!(third.count(), 1);
            assert_eq!(waits.await.unwrap().status(), 200);
            assert_eq!(layer.limiter().stats().keys, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_count_towards_the_total() {
    let limit = Concurrency::per_key(1).unwrap().with_total(2).unwrap();
    let limit = limit.with_queue(10, Duration::from_secs(1)).unwrap();
    let layer = ConcurrencyLimitLayer::new(limit, key::Global);
    let service = layer.layer(Probe::default());
    let _held = service.clone().oneshot(Request::default()).await.unwrap();
    let waits = tokio::spawn(service.clone().oneshot(Request::default()));
    tokio::task::yield_now().await;
    let refused = service.clone().oneshot(Request::default()).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(waits.await.unwrap().unwrap().status(), 429);
}

#[test]
fn outside_tokio_nobody_waits_and_nothing_panics() {
    let layer = layer(1, 10, Duration::from_secs(1));
    let _permit = layer.limiter().try_acquire(()).unwrap();
    let mut future = Box::pin(layer.layer(Probe::default()).oneshot(Request::default()));
    let Poll::Ready(response) = Woken::default().poll(&mut future) else {
        panic!("waits for a timer that never comes");
    };
    assert_eq!(response.unwrap().status(), 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_come_and_give_up_lose_no_permit() {
    const MAX: u32 = 3;
    let in_handler = Arc::new(AtomicU32::new(0));
    let handler = service_fn(move |request: Request<Chunks>| {
        let in_handler = Arc::clone(&in_handler);
        async move {
            assert!(in_handler.fetch_add(1, SeqCst) < MAX);
            // Also those who give up in here are gone from here.
            let _leaves = Leaves(in_handler);
            tokio::task::yield_now().await;
            Ok::<_, Broken>(Response::new(request.into_body()))
        }
    });
    let layer = layer(MAX, 1000, Duration::from_secs(60));
    let service = layer.layer(handler);
    let gives_up = Arc::new(Notify::new());
    let mut requests = JoinSet::new();
    for number in 0..5_000 {
        let (service, told) = (service.clone(), Arc::clone(&gives_up));
        requests.spawn(async move {
            let response = service.oneshot(Request::default());
            tokio::select! {
                response = response => drop(response.unwrap()),
                () = told.notified() => {}
            }
        });
        if number % 3 == 0 {
            gives_up.notify_one();
        }
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    requests.join_all().await;
    let stats = layer.limiter().stats();
    assert_eq!((stats.in_flight, stats.waiting, stats.keys), (0, 0, 0));
}

#[test]
fn an_impossible_line_is_refused_with_its_range() {
    let limit = || Concurrency::per_key(1).unwrap();
    let second = Duration::from_secs(1);
    let cases = [
        (limit().with_queue(0, second), InvalidConcurrency::Queue),
        (
            limit().with_queue(65_537, second),
            InvalidConcurrency::Queue,
        ),
        (
            limit().with_queue(1, Duration::ZERO),
            InvalidConcurrency::MaxWait,
        ),
        (
            limit().with_queue(1, 3601 * second),
            InvalidConcurrency::MaxWait,
        ),
    ];
    for (refused, expected) in cases {
        assert_eq!(refused.unwrap_err(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(300)))]

    /// Against the plainest model: whoever has a permit, and a list of who waits.
    #[test]
    fn permits_go_round_as_in_a_queue_at_a_counter(
        max in 1_u32..4,
        steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let layer = layer(max, 5, Duration::from_secs(3600));
        let handler = service_fn(|request: Request<Chunks>| {
            std::future::ready(Ok::<_, Broken>(Response::new(request.into_body())))
        });
        let service = layer.layer(handler);
        let (mut holding, mut waiting) = (Vec::new(), Vec::new());
        for (step, which) in steps {
            match step {
                0 | 1 => {
                    let mut future = Box::pin(service.clone().oneshot(Request::default()));
                    let outcome = Woken::default().poll(&mut future);
                    if holding.len() < max as usize {
                        let Poll::Ready(Ok(response)) = outcome else {
                            return Err(TestCaseError::fail("had to wait beside a free permit"));
                        };
                        prop_assert_eq!(response.status(), 200);
                        holding.push(response);
                    } else if waiting.len() < 5 {
                        prop_assert!(outcome.is_pending());
                        waiting.push(future);
                    } else {
                        let Poll::Ready(Ok(response)) = outcome else {
                            return Err(TestCaseError::fail("waits in a line that is full"));
                        };
                        prop_assert_eq!(response.status(), 429);
                    }
                }
                2 if !holding.is_empty() => {
                    drop(holding.swap_remove(which.index(holding.len())));
                    if !waiting.is_empty() {
                        let mut next = waiting.remove(0);
                        let Poll::Ready(Ok(response)) = Woken::default().poll(&mut next) else {
                            return Err(TestCaseError::fail("first come, first served"));
                        };
                        prop_assert_eq!(response.status(), 200);
                        holding.push(response);
                    }
                }
                3 if !waiting.is_empty() => drop(waiting.remove(which.index(waiting.len()))),
                _ => {}
            }
            let stats = layer.limiter().stats();
            prop_assert_eq!((stats.in_flight, stats.waiting), (holding.len(), waiting.len()));
            for future in &mut waiting {
                prop_assert!(Woken::default().poll(future).is_pending());
            }
        }
    }
}

struct Leaves(Arc<AtomicU32>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A waker that counts.
#[derive(Default)]
struct Woken(Arc<Count>);

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Woken {
    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.0));
        std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    fn count(&self) -> u32 {
        self.0.0.load(SeqCst)
    }
}

fn layer(max: u32, queue: u32, max_wait: Duration) -> ConcurrencyLimitLayer<key::Global> {
    let limit = Concurrency::per_key(max).unwrap();
    let limit = limit.with_queue(queue, max_wait).unwrap();
    ConcurrencyLimitLayer::new(limit, key::Global)
}

/// Many more where `PROPTEST_CASES` says so.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(default, |cases| cases.parse().unwrap())
}
