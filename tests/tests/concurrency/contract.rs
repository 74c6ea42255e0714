//! What Tower asks of every middleware.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Waker},
};

use http::Request;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};
use tower_plugin_ratelimit::{
    Rejection,
    concurrency::{
        Concurrency, ConcurrencyLimit, ConcurrencyLimitLayer, ConcurrencyLimiter, Permit,
        PermitBody, ResponseFuture,
    },
    key,
};
use tower_plugin_tests::{Account, Broken, Chunks, Probe};

#[tokio::test]
async fn not_ready_means_not_ready() {
    let (mut service, account) = one_at_a_time();
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll_ready = |service: &mut Limited| Service::poll_ready(service, &mut cx);
    account.is_busy.store(true, SeqCst);
    assert!(poll_ready(&mut service).is_pending());
    account.is_busy.store(false, SeqCst);
    assert!(poll_ready(&mut service).is_ready());

    account.fails_to_be_ready.store(true, SeqCst);
    let failed = poll_fn(|cx| Service::poll_ready(&mut service, cx)).await;
    assert_eq!(failed, Err(Broken(1)));
}

#[tokio::test]
async fn the_ready_service_is_called_and_streams_pass() {
    let (mut service, account) = one_at_a_time();
    let response = call(&mut service, Request::default()).await.unwrap();
    assert_eq!((account.calls(), response.status().as_u16()), (1, 200));

    let mut body = pin!(response.into_body());
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.unwrap().is_trailers());
    }
    assert_eq!(frames, [false, false, true], "frame by frame");
    assert_eq!(account.calls_unready.load(SeqCst), 0);
}

#[tokio::test]
async fn refused_leaves_the_inner_service_alone() {
    let (mut service, account) = one_at_a_time();
    let held = call(&mut service.clone(), Request::default())
        .await
        .unwrap();
    // A clone shares the count, and so does the service it was made from.
    for mut service in [service.clone(), service.clone()] {
        let refused = call(&mut service, Request::default()).await.unwrap();
        assert_eq!(refused.status(), 429);
        assert_eq!(
            refused.extensions().get::<Rejection>().unwrap().reason(),
            "CONCURRENCY_LIMITED"
        );
    }
    assert_eq!(account.calls(), 1);
    drop(held);
    assert_eq!(
        call(&mut service, Request::default())
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn inner_errors_pass_unchanged_and_give_back_the_permit() {
    let layer = ConcurrencyLimitLayer::new(Concurrency::per_key(1).unwrap(), key::Global);
    let probe = Probe::default();
    probe.account().fails.store(true, SeqCst);
    let mut service = layer.layer(probe);
    let mut future = pin!(service.ready().await.unwrap().call(Request::default()));
    let failed = poll_fn(|cx| future.as_mut().poll(cx)).await;
    assert_eq!(failed.err(), Some(Broken(2)));
    // The future is still there, as in a caller that keeps it.
    assert_eq!(layer.limiter().stats().in_flight, 0);
}

#[tokio::test]
async fn a_dropped_future_leaks_nothing() {
    let layer = ConcurrencyLimitLayer::new(Concurrency::per_key(1).unwrap(), key::Global);
    let mut service = layer.layer(Probe::default());
    let canary = Arc::new(());
    for polls in 0..3 {
        let future = service.ready().await.unwrap();
        let mut future = Box::pin(future.call(Request::new(Chunks::new(&canary))));
        for _ in 0..polls {
            let mut cx = Context::from_waker(Waker::noop());
            if future.as_mut().poll(&mut cx).is_ready() {
                break;
            }
        }
        assert_eq!(layer.limiter().stats().in_flight, usize::from(polls < 2));
        drop(future);
        assert_eq!(Arc::strong_count(&canary), 1, "dropped after {polls} polls");
        assert_eq!(layer.limiter().stats().in_flight, 0);
    }
}

#[test]
fn what_crosses_threads_may() {
    fn is<T: Clone + Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is::<ConcurrencyLimitLayer<key::Global>>();
    is::<ConcurrencyLimit<Probe, key::Global>>();
    is::<ConcurrencyLimiter>();
    is_sent::<Permit>();
    is_sent::<PermitBody<Chunks>>();
    is_sent::<ResponseFuture<Probe, Chunks, Chunks>>();
}

#[tokio::test]
async fn a_refusal_polled_twice_does_not_panic() {
    let (mut service, _) = one_at_a_time();
    let _held = call(&mut service, Request::default()).await.unwrap();
    let mut future = pin!(service.ready().await.unwrap().call(Request::default()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_ready());
    assert!(future.as_mut().poll(&mut cx).is_pending());
}

type Limited = ConcurrencyLimit<Probe, key::Global>;
type Answer = <Limited as Service<Request<Chunks>>>::Response;

async fn call(service: &mut Limited, request: Request<Chunks>) -> Result<Answer, Broken> {
    service.ready().await.unwrap().call(request).await
}

fn one_at_a_time() -> (Limited, Arc<Account>) {
    let probe = Probe::default();
    let account = probe.account();
    let layer = ConcurrencyLimitLayer::new(Concurrency::per_key(1).unwrap(), key::Global);
    (layer.layer(probe), account)
}
