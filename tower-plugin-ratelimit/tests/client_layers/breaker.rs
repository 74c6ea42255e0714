use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_plugin_ratelimit::{
    ManualClock, Rejection,
    client::{
        ByStatus, Circuit, CircuitBreakerLayer, Head, Outcome, Phase, RetryLayer, RetryPolicy,
    },
};

use crate::support::{Server, Stream, TokioClock, get, grpc, status};

fn circuit(failures: u32, successes: u32) -> Circuit {
    let circuit = Circuit::default().open_after(failures).unwrap();
    circuit.close_after(successes).unwrap()
}

fn breaker(failures: u32, successes: u32) -> (CircuitBreakerLayer, ManualClock) {
    let clock = ManualClock::new();
    let layer = CircuitBreakerLayer::new(circuit(failures, successes));
    (layer.with_clock(clock.clone()), clock)
}

/// What every call is answered, without a server that writes anything down.
fn answering(
    status: u16,
) -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<()>, Infallible>>,
> + Clone {
    service_fn(move |_| {
        let response = Response::builder().status(status).body(()).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    })
}

async fn call(layer: &CircuitBreakerLayer, answer: u16) -> u16 {
    let service = layer.layer(answering(answer));
    let response = service.oneshot(Request::new(())).await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn an_open_circuit_answers_without_calling() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(500)]);
    let (layer, time) = breaker(2, 1);
    let client = layer.layer(server.clone());
    for _ in 0..2 {
        let response = client.clone().oneshot(get("/")).await.unwrap();
        assert_eq!(response.status(), 500);
    }
    assert_eq!(layer.phase(), Phase::Open);
    time.advance(Duration::from_millis(2500));
    let refused = client.clone().oneshot(get("/")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "8");
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), "CIRCUIT_OPEN");
    assert_eq!(rejection.retry_after(), Some(Duration::from_millis(7500)));
    assert_eq!(server.calls(), 2);
    assert_eq!(client.phase(), Phase::Open);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_callers_protocol() {
    let (layer, _) = breaker(1, 1);
    call(&layer, 500).await;
    let cases = [
        (None, 503, "retry-after", "10"),
        (Some("application/grpc+proto"), 200, "grpc-status", "14"),
        (
            Some("application/proto"),
            503,
            "content-type",
            "application/json",
        ),
        (Some("application/connect+proto"), 200, "retry-after", "10"),
    ];
    for (content_type, status, name, value) in cases {
        let mut request = Request::new(());
        if let Some(content_type) = content_type {
            let content_type = content_type.parse().unwrap();
            request.headers_mut().insert("content-type", content_type);
        }
        let service = layer.layer(answering(200));
        let refused = service.oneshot(request).await.unwrap();
        assert_eq!(refused.status(), status, "{content_type:?}");
        assert_eq!(refused.headers()[name], value, "{content_type:?}");
    }
}

#[tokio::test]
async fn it_recovers_by_its_probes() {
    let (layer, clock) = breaker(3, 2);
    for _ in 0..3 {
        call(&layer, 503).await;
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(call(&layer, 200).await, 200);
    assert_eq!(layer.phase(), Phase::HalfOpen);
    assert_eq!(call(&layer, 200).await, 200);
    assert_eq!(layer.phase(), Phase::Closed);
}

#[tokio::test]
async fn a_failed_probe_opens_it_again() {
    let (layer, clock) = breaker(1, 2);
    call(&layer, 503).await;
    clock.advance(Duration::from_secs(10));
    assert_eq!(call(&layer, 502).await, 502);
    assert_eq!(layer.phase(), Phase::Open);
    assert_eq!(call(&layer, 200).await, 503);
}

#[tokio::test]
async fn what_the_caller_did_wrong_is_no_failure() {
    let (layer, _) = breaker(1, 1);
    for status in [400, 401, 403, 404, 409, 413, 499, 501] {
        assert_eq!(call(&layer, status).await, status);
    }
    let clock = TokioClock::new();
    for code in [1, 3, 5, 7, 12, 16] {
        let client = layer.layer(Server::new(clock, [grpc(code)]));
        client.oneshot(get("/")).await.unwrap();
    }
    assert_eq!(layer.phase(), Phase::Closed);
}

#[tokio::test]
async fn unavailable_exhausted_internal_late_and_unknown_are_failures() {
    let clock = TokioClock::new();
    for answer in [14, 8, 13, 4, 2]
        .map(grpc)
        .into_iter()
        .chain([429, 500, 502, 503, 504].map(status))
        .chain([Err("no connection")])
    {
        let (layer, _) = breaker(1, 1);
        let client = layer.layer(Server::new(clock, [answer.clone()]));
        let _ = client.oneshot(get("/")).await;
        assert_eq!(layer.phase(), Phase::Open, "{answer:?}");
    }
}

#[tokio::test]
async fn the_caller_may_say_what_a_failure_is() {
    let clock = TokioClock::new();
    let layer = CircuitBreakerLayer::new(circuit(1, 1)).with_classify(
        |result: Result<Head<'_>, &&'static str>| match result.map(Head::status) {
            Ok(StatusCode::NOT_FOUND) => Outcome::Failure,
            Err(_) => Outcome::Neutral,
            Ok(_) => Outcome::Success,
        },
    );
    for answer in [status(500), Err("mine")] {
        let client = layer.layer(Server::new(clock, [answer]));
        let _ = client.oneshot(get("/")).await;
        assert_eq!(layer.phase(), Phase::Closed);
    }
    let client = layer.layer(Server::new(clock, [status(404)]));
    client.oneshot(get("/")).await.unwrap();
    assert_eq!(layer.phase(), Phase::Open);

    let (layer, _) = breaker(1, 1);
    let layer = layer.with_statuses(ByStatus::default().with_statuses([StatusCode::CONFLICT]));
    call(&layer, 503).await;
    assert_eq!(layer.phase(), Phase::Closed);
    call(&layer, 409).await;
    assert_eq!(layer.phase(), Phase::Open);
}

#[tokio::test]
async fn changes_are_told_in_their_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let (layer, clock) = breaker(1, 1);
    let layer = layer.with_on_change(move |change| {
        tell.lock()
            .unwrap()
            .push(format!("{} to {}", change.from(), change.to()));
    });
    call(&layer, 500).await;
    clock.advance(Duration::from_secs(10));
    call(&layer, 200).await;
    assert_eq!(
        *told.lock().unwrap(),
        ["closed to open", "open to half-open", "half-open to closed"]
    );
}

#[tokio::test]
async fn f70_of_500_calls_at_once_one_is_a_probe() {
    let (layer, clock) = breaker(1, 2);
    call(&layer, 500).await;
    clock.advance(Duration::from_secs(10));
    let calls = Arc::new(AtomicUsize::new(0));
    let hangs = service_fn(|_: Request<()>| {
        calls.fetch_add(1, SeqCst);
        pending::<Result<Response<()>, Infallible>>()
    });
    let mut service = layer.layer(hangs);
    let mut cx = Context::from_waker(Waker::noop());
    let mut probes = Vec::new();
    let mut refused = 0;
    for _ in 0..500 {
        let mut future = Box::pin(service.call(Request::new(())));
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(response) => {
                assert_eq!(response.unwrap().status(), 503);
                refused += 1;
            }
            Poll::Pending => probes.push(future),
        }
    }
    assert_eq!((probes.len(), refused), (1, 499));
    assert_eq!(calls.load(SeqCst), 1);
    // Its place is free when it is given up.
    probes.clear();
    let mut next = pin!(service.call(Request::new(())));
    assert!(next.as_mut().poll(&mut cx).is_pending());
}

#[test]
fn f70_threads_that_call_at_once_share_exactly_the_probes_there_are() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2000;
    for probes in [1, 3] {
        let clock = ManualClock::new();
        // It never closes: every call is a probe or refused.
        let circuit = circuit(1, u32::MAX).allow_probes(probes).unwrap();
        let layer = CircuitBreakerLayer::new(circuit).with_clock(clock.clone());
        let mut cx = Context::from_waker(Waker::noop());
        let mut failed = pin!(layer.layer(answering(500)).call(Request::new(())));
        assert!(failed.as_mut().poll(&mut cx).is_ready());
        clock.advance(Duration::from_secs(10));

        let in_flight = AtomicU32::new(0);
        let barrier = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (layer, in_flight, barrier) = (&layer, &in_flight, &barrier);
                scope.spawn(move || {
                    let mut cx = Context::from_waker(Waker::noop());
                    let mut service = layer.layer(service_fn(|_: Request<()>| async {
                        tokio::task::yield_now().await;
                        Ok::<_, Infallible>(Response::new(()))
                    }));
                    for round in 0..ROUNDS {
                        barrier.wait();
                        let mut call = Box::pin(service.call(Request::new(())));
                        let is_probe = call.as_mut().poll(&mut cx).is_pending();
                        in_flight.fetch_add(u32::from(is_probe), SeqCst);
                        barrier.wait();
                        assert_eq!(in_flight.load(SeqCst), probes, "round {round}");
                        barrier.wait();
                        in_flight.store(0, SeqCst);
                        // Some succeed, some are cancelled: both free the place.
                        if is_probe && (thread + round) % 2 == 0 {
                            assert!(call.as_mut().poll(&mut cx).is_ready());
                        }
                        drop(call);
                    }
                });
            }
        });
    }
}

#[tokio::test]
async fn f71_a_panic_is_a_failure_wherever_it_happens() {
    let in_call = service_fn(
        |_: Request<()>| -> std::future::Ready<Result<Response<()>, Infallible>> {
            panic!("in call")
        },
    );
    let in_future = service_fn(|_: Request<()>| async {
        tokio::task::yield_now().await;
        panic!("in the future");
        #[expect(unreachable_code, reason = "names the type")]
        Ok::<_, Infallible>(Response::new(()))
    });
    let (layer, _) = breaker(1, 1);
    let call = layer.layer(in_call).oneshot(Request::new(()));
    assert!(tokio::spawn(call).await.unwrap_err().is_panic());
    assert_eq!(layer.phase(), Phase::Open);

    let (layer, _) = breaker(1, 1);
    let call = layer.layer(in_future).oneshot(Request::new(()));
    assert!(tokio::spawn(call).await.unwrap_err().is_panic());
    assert_eq!(layer.phase(), Phase::Open);
}

#[tokio::test]
async fn f71_a_callback_may_call_back_and_panic() {
    let handle: Arc<Mutex<Option<CircuitBreakerLayer>>> = Arc::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (inside, tell) = (Arc::clone(&handle), Arc::clone(&told));
    let (layer, clock) = breaker(1, 1);
    let time = clock.clone();
    let layer = layer.with_on_change(move |change| {
        tell.lock().unwrap().push(change.to());
        let layer = inside.lock().unwrap().take().unwrap();
        let _ = layer.phase();
        if change.to() == Phase::Open {
            // Makes the next change, which is told after this one.
            time.advance(Duration::from_secs(10));
            let mut cx = Context::from_waker(Waker::noop());
            let mut probe = pin!(layer.layer(answering(200)).call(Request::new(())));
            *inside.lock().unwrap() = Some(layer);
            assert!(probe.as_mut().poll(&mut cx).is_ready());
            assert_eq!(tell.lock().unwrap().len(), 1);
            panic!("in the callback");
        }
        *inside.lock().unwrap() = Some(layer);
    });
    *handle.lock().unwrap() = Some(layer.clone());
    assert_eq!(call(&layer, 500).await, 500);
    assert_eq!(layer.phase(), Phase::Closed);
    assert_eq!(
        *told.lock().unwrap(),
        [Phase::Open, Phase::HalfOpen, Phase::Closed]
    );
}

#[test]
fn f71_changes_of_many_threads_are_told_without_a_gap() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let (layer, clock) = breaker(1, 1);
    let layer = layer.with_on_change(move |change| tell.lock().unwrap().push(change));
    // So that nobody runs ahead of the one who tells, who keeps only so many.
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4_u16 {
            let (layer, clock, barrier) = (&layer, &clock, &barrier);
            scope.spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                for round in 0..2000 {
                    barrier.wait();
                    let status = if (thread + round) % 2 == 0 { 200 } else { 500 };
                    let mut call = pin!(layer.layer(answering(status)).call(Request::new(())));
                    assert!(call.as_mut().poll(&mut cx).is_ready());
                    clock.advance(Duration::from_secs(4));
                }
            });
        }
    });
    let told = told.lock().unwrap();
    assert!(told.len() > 100, "{}", told.len());
    assert_eq!(told[0].from(), Phase::Closed);
    for pair in told.windows(2) {
        assert_eq!(pair[0].to(), pair[1].from());
    }
    assert_eq!(told.last().unwrap().to(), layer.phase());
}

#[tokio::test]
async fn f72_cancellation_says_nothing_about_the_service() {
    let hangs = service_fn(|_: Request<()>| pending::<Result<Response<()>, Infallible>>());
    let (layer, clock) = breaker(1, 1);
    let mut cx = Context::from_waker(Waker::noop());
    let cancel = |polls| {
        let mut call = Box::pin(layer.layer(hangs).call(Request::new(())));
        for _ in 0..polls {
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
    };
    (0..100).for_each(cancel);
    assert_eq!(layer.phase(), Phase::Closed);
    call(&layer, 500).await;
    clock.advance(Duration::from_secs(10));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        let mut call = Box::pin(layer.layer(hangs).call(Request::new(())));
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(layer.phase(), Phase::HalfOpen);
}

/// A gRPC response that begins well.
fn streaming(
    stream: fn() -> Stream,
) -> impl Service<
    Request<()>,
    Response = Response<Stream>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<Stream>, Infallible>>,
> + Clone {
    service_fn(move |_| {
        let response = Response::builder().header("content-type", "application/grpc");
        std::future::ready(Ok::<_, Infallible>(response.body(stream()).unwrap()))
    })
}

#[tokio::test]
async fn f74_streams_pass_and_are_judged_by_their_first_frame() {
    type Case = (fn() -> Stream, usize, Phase);
    let cases: [Case; 7] = [
        (|| Stream::default().trailers(0), 1, Phase::Closed),
        (|| Stream::default().trailers(14), 1, Phase::Open),
        (|| Stream::default().trailers(5), 1, Phase::Closed),
        (|| Stream::default().message().trailers(0), 2, Phase::Closed),
        // It answered; that it broke off later is the caller's to see.
        (
            || Stream::default().message().message().trailers(14),
            3,
            Phase::Closed,
        ),
        (Stream::default, 0, Phase::Open),
        (|| Stream::default().message(), 1, Phase::Closed),
    ];
    for (stream, frames, phase) in cases {
        let (layer, _) = breaker(1, 1);
        let service = layer.layer(streaming(stream));
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(layer.phase(), Phase::Closed, "not known yet");
        let mut body = response.into_body();
        let mut seen = 0;
        while let Some(frame) = body.frame().await {
            frame.unwrap();
            seen += 1;
        }
        assert_eq!((seen, layer.phase()), (frames, phase));
    }
}

#[tokio::test]
async fn f74_a_stream_that_is_dropped_unread_is_a_cancelled_call() {
    let (layer, clock) = breaker(1, 1);
    call(&layer, 500).await;
    clock.advance(Duration::from_secs(10));
    let service = layer.layer(streaming(Stream::hanging));
    let probe = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(probe.status(), 200);
    // The place is taken as long as the probe is undecided, and free afterwards.
    assert_eq!(call(&layer, 200).await, 503);
    drop(probe);
    assert_eq!(layer.phase(), Phase::HalfOpen);
    assert_eq!(call(&layer, 200).await, 200);
    assert_eq!(layer.phase(), Phase::Closed);
}

#[tokio::test]
async fn services_of_one_layer_are_one_circuit_and_other_layers_are_not() {
    let (layer, _) = breaker(1, 1);
    let (other, _) = breaker(1, 1);
    call(&layer.clone(), 500).await;
    assert_eq!(layer.phase(), Phase::Open);
    assert_eq!(other.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_retry_outside_waits_until_the_circuit_probes() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(500), status(200)]);
    let layer = CircuitBreakerLayer::new(circuit(1, 1)).with_clock(clock);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new().with_random(|| 0)))
        .layer(layer.clone())
        .service(server.clone());
    let response = client.oneshot(get("/")).await.unwrap();
    assert_eq!(response.status(), 200);
    // After a second it is refused for nine more, which is what the retry obeys.
    assert_eq!(server.times(), [0, 10_000]);
    assert_eq!(layer.phase(), Phase::Closed);
}
