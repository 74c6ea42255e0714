//! What Tower asks of every middleware, asked of these.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_plugin_ratelimit::{
    Rejection,
    client::{Circuit, CircuitBreakerLayer, RetryLayer, RetryPolicy, ThrottleLayer},
};

/// Holds its callers to the contract: the instance that is called must be the one that was ready.
#[derive(Debug, Default)]
struct Probe {
    account: Arc<Account>,
    is_ready: bool,
}

#[derive(Debug, Default)]
struct Account {
    calls: AtomicUsize,
    calls_unready: AtomicUsize,
    is_busy: AtomicBool,
    is_broken: AtomicBool,
    fails: AtomicBool,
}

#[derive(Debug, Eq, PartialEq)]
struct Broken(u8);

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self {
            account: Arc::clone(&self.account),
            is_ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Probe {
    type Response = Response<Full<Bytes>>;
    type Error = Broken;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.account.is_broken.load(SeqCst) {
            return Poll::Ready(Err(Broken(1)));
        }
        if self.account.is_busy.load(SeqCst) {
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.account.calls.fetch_add(1, SeqCst);
        if !std::mem::take(&mut self.is_ready) {
            self.account.calls_unready.fetch_add(1, SeqCst);
        }
        let fails = self.account.fails.load(SeqCst);
        Box::pin(async move {
            tokio::task::yield_now().await;
            let _kept = request;
            match fails {
                true => Err(Broken(2)),
                false => Ok(Response::new(Full::from("answered"))),
            }
        })
    }
}

async fn contract<L, S, B>(layer: L)
where
    L: Layer<Probe, Service = S> + Clone + Send + Sync + 'static,
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Broken>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Send,
{
    let probe = Probe::default();
    let account = Arc::clone(&probe.account);
    let mut service = layer.layer(probe);
    let canary = Arc::new(());
    let request = || {
        // Idempotent or not makes no difference; a retry would hide the error.
        let mut request = Request::post("/").body(Full::from("asked")).unwrap();
        request.extensions_mut().insert(Arc::clone(&canary));
        request
    };

    let mut cx = Context::from_waker(Waker::noop());
    account.is_busy.store(true, SeqCst);
    assert!(service.poll_ready(&mut cx).is_pending());
    account.is_busy.store(false, SeqCst);
    account.is_broken.store(true, SeqCst);
    let failed = poll_fn(|cx| service.poll_ready(cx)).await;
    assert_eq!(failed, Err(Broken(1)));
    account.is_broken.store(false, SeqCst);

    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(request()).await;
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(account.calls.load(SeqCst), 3);

    account.fails.store(true, SeqCst);
    let failed = service.ready().await.unwrap().call(request()).await;
    assert_eq!(failed.err(), Some(Broken(2)));
    account.fails.store(false, SeqCst);

    for polls in 0..4 {
        let future = service.ready().await.unwrap().call(request());
        {
            let mut future = pin!(future);
            for _ in 0..polls {
                if future.as_mut().poll(&mut cx).is_ready() {
                    break;
                }
            }
        }
        assert_eq!(Arc::strong_count(&canary), 1, "dropped after {polls} polls");
    }
    assert_eq!(account.calls_unready.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn retry_keeps_the_contract() {
    contract(RetryLayer::new(RetryPolicy::new())).await;
}

#[tokio::test(start_paused = true)]
async fn throttle_keeps_the_contract() {
    let clock = crate::support::TokioClock::new();
    contract(ThrottleLayer::default().with_clock(clock)).await;
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_never_waits_keeps_the_contract() {
    contract(ThrottleLayer::new("1000/s".parse().unwrap())).await;
}

#[tokio::test]
async fn circuit_breaker_keeps_the_contract() {
    contract(CircuitBreakerLayer::default()).await;
}

#[tokio::test]
async fn refusals_leave_the_inner_service_alone_and_may_be_polled_twice() {
    let probe = Probe::default();
    let account = Arc::clone(&probe.account);
    account.fails.store(true, SeqCst);
    let circuit = Circuit::default().open_after(1).unwrap();
    let mut breaker = CircuitBreakerLayer::new(circuit).layer(probe);
    let request = || Request::new(Full::default());
    let failed = breaker.ready().await.unwrap().call(request()).await;
    assert_eq!(failed.err(), Some(Broken(2)));
    let mut refused = pin!(breaker.ready().await.unwrap().call(request()));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(response)) = refused.as_mut().poll(&mut cx) else {
        panic!("a refusal has nothing to wait for");
    };
    assert!(response.extensions().get::<Rejection>().is_some());
    assert!(refused.as_mut().poll(&mut cx).is_pending());
    assert_eq!(account.calls.load(SeqCst), 1);

    let probe = Probe::default();
    let account = Arc::clone(&probe.account);
    let layer = ThrottleLayer::default().with_max_waiting(0);
    let mut throttle = layer.layer(probe);
    throttle
        .ready()
        .await
        .unwrap()
        .call(request())
        .await
        .unwrap();
    let mut refused = pin!(throttle.ready().await.unwrap().call(request()));
    let Poll::Ready(Ok(response)) = refused.as_mut().poll(&mut cx) else {
        panic!("a refusal has nothing to wait for");
    };
    assert!(response.extensions().get::<Rejection>().is_some());
    assert!(refused.as_mut().poll(&mut cx).is_pending());
    assert_eq!(account.calls.load(SeqCst), 1);
}
