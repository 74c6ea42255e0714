use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_ratelimit::client::{
    Backoff, Budget, ByStatus, Head, Outcome, ReplayBody, Retry, RetryLayer, RetryPolicy, TpsBudget,
};

use crate::support::{Answer, Server, TokioClock, get, grpc, post, status, with};

/// No jitter, so that times can be told.
fn policy(clock: TokioClock) -> RetryPolicy {
    RetryPolicy::new().with_random(|| 0).with_clock(clock)
}

fn client<C>(policy: RetryPolicy<C>, server: &Server) -> Retry<RetryPolicy<C>, Server> {
    RetryLayer::new(policy).layer(server.clone())
}

async fn answers<const N: usize>(answers: [Answer; N]) -> (u16, Vec<u128>) {
    let clock = TokioClock::new();
    let server = Server::new(clock, answers);
    let response = client(policy(clock), &server).oneshot(get("/")).await;
    (response.unwrap().status().as_u16(), server.times())
}

#[tokio::test(start_paused = true)]
async fn a_success_is_asked_for_once() {
    assert_eq!(answers([status(200)]).await, (200, vec![0]));
}

#[tokio::test(start_paused = true)]
async fn by_default_three_retries_follow_after_one_two_and_four_seconds() {
    assert_eq!(
        answers([status(503)]).await,
        (503, vec![0, 1000, 3000, 7000])
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_succeeds_is_the_last() {
    let script = [status(500), grpc(14), status(200)];
    assert_eq!(answers(script).await, (200, vec![0, 1000, 3000]));
}

#[tokio::test(start_paused = true)]
async fn what_will_not_get_better_is_not_retried() {
    for answer in [
        status(400),
        status(403),
        status(404),
        status(499),
        status(501),
        grpc(1),
        grpc(3),
        grpc(5),
        grpc(7),
        grpc(16),
    ] {
        let (_, times) = answers([answer.clone(), status(200)]).await;
        assert_eq!(times, [0], "{answer:?}");
    }
    for answer in [
        status(429),
        status(500),
        status(502),
        status(503),
        status(504),
        grpc(2),
        grpc(4),
        grpc(8),
        grpc(13),
        grpc(14),
    ] {
        let (_, times) = answers([answer.clone(), status(200)]).await;
        assert_eq!(times, [0, 1000], "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_retries_than_allowed() {
    for retries in [0, 1, 4] {
        let clock = TokioClock::new();
        let server = Server::new(clock, [status(503)]);
        let policy = policy(clock).with_max_retries(retries);
        let response = client(policy, &server).oneshot(get("/")).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(server.calls(), retries as usize + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_wins_over_the_backoff() {
    let in_five_seconds = "Tue, 01 Jan 2030 00:00:05 GMT";
    let cases = [
        (with(429, "retry-after", 7), 7000),
        (with(503, "retry-after", 7), 7000),
        (with(503, "retry-after", 1), 1000),
        (with(503, "retry-after", in_five_seconds), 5000),
        // At the maximum.
        (with(503, "retry-after", 30), 30_000),
        // Nothing that could be obeyed: the backoff it is.
        (with(503, "retry-after", 0), 1000),
        (with(503, "retry-after", "soon"), 1000),
        (with(503, "retry-after", "-5"), 1000),
        (
            Ok((
                200,
                vec![
                    ("grpc-status", "14".to_owned()),
                    ("retry-after", "9".to_owned()),
                ],
            )),
            9000,
        ),
    ];
    for (answer, at) in cases {
        let (_, times) = answers([answer.clone(), status(200)]).await;
        assert_eq!(times, [0, at], "{answer:?}");
    }
    // Also where it is sooner than the backoff would have been.
    let script = [
        status(503),
        status(503),
        with(503, "retry-after", 1),
        status(200),
    ];
    assert_eq!(answers(script).await.1, [0, 1000, 3000, 4000]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_time_than_we_have_is_not_asked_again() {
    let after_a_minute = "Tue, 01 Jan 2030 00:01:00 GMT";
    for answer in [
        with(429, "retry-after", 31),
        with(503, "retry-after", "99999999999999999999999999"),
        with(503, "retry-after", after_a_minute),
    ] {
        let (_, times) = answers([answer.clone(), status(200)]).await;
        assert_eq!(times, [0], "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_pushback_is_obeyed() {
    let pushed_back = |millis: &str| {
        let headers = vec![
            ("grpc-status", "14".to_owned()),
            ("grpc-retry-pushback-ms", millis.to_owned()),
        ];
        [Ok((200, headers)), status(200)]
    };
    assert_eq!(answers(pushed_back("250")).await.1, [0, 250]);
    for never in ["-1", "", "soon", "30001", "99999999999"] {
        assert_eq!(answers(pushed_back(never)).await.1, [0], "{never}");
    }
}

#[tokio::test(start_paused = true)]
async fn f73_what_is_not_idempotent_is_not_sent_twice_unless_told() {
    for failure in [grpc(13), grpc(2), grpc(4), status(503), Err("broken")] {
        let clock = TokioClock::new();
        let server = Server::new(clock, [failure.clone(), status(200)]);
        let _ = client(policy(clock), &server).oneshot(post("/a.B/C")).await;
        assert_eq!(server.calls(), 1, "{failure:?}");

        let server = Server::new(clock, [failure, status(200)]);
        let told = policy(clock).with_idempotent(|_, uri, _| uri.path() == "/a.B/Get");
        let _ = client(told.clone(), &server).oneshot(post("/a.B/C")).await;
        assert_eq!(server.calls(), 1);
        let server = Server::new(clock, [status(503), status(200)]);
        let _ = client(told, &server).oneshot(post("/a.B/Get")).await;
        assert_eq!(server.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn f73_retries_of_all_requests_share_a_budget() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(503)]);
    // Two to begin with, and one for every ten requests.
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(1), 2, 0.1));
    let policy = policy(clock).with_budget(budget).with_max_retries(1);
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).unwrap();
    let client = client(policy.with_backoff(backoff), &server);
    for _ in 0..20 {
        client.clone().oneshot(get("/")).await.unwrap();
    }
    assert_eq!(server.calls(), 20 + 4);
}

/// A budget without end that keeps account.
#[derive(Debug, Default)]
struct Counted {
    deposits: AtomicU32,
    withdrawals: AtomicU32,
}

impl Budget for Counted {
    fn deposit(&self) {
        self.deposits.fetch_add(1, SeqCst);
    }

    fn withdraw(&self) -> bool {
        self.withdrawals.fetch_add(1, SeqCst);
        true
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_pays_in_once_and_each_retry_takes_out_once() {
    let clock = TokioClock::new();
    for (answer, retries) in [
        (status(200), 0),
        (status(404), 0),
        (with(503, "retry-after", 31), 0),
        (status(503), 3),
    ] {
        let budget = Arc::new(Counted::default());
        let server = Server::new(clock, [answer]);
        let policy = policy(clock).with_budget(Arc::clone(&budget));
        client(policy, &server).oneshot(get("/")).await.unwrap();
        assert_eq!(budget.deposits.load(SeqCst), 1);
        assert_eq!(budget.withdrawals.load(SeqCst), retries);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_retried_and_the_last_passes_unchanged() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [Err("first"), Err("last")]);
    let failed = client(policy(clock), &server).oneshot(get("/")).await;
    assert_eq!(failed.unwrap_err(), "last");
    assert_eq!(server.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_caller_may_say_what_is_retried() {
    let clock = TokioClock::new();
    let closure =
        policy(clock).with_classify(|result: Result<Head<'_>, &&'static str>| {
            match result.map(Head::status) {
                Ok(StatusCode::NOT_FOUND) | Err(&"busy") => Outcome::Failure,
                _ => Outcome::Success,
            }
        });
    for (answer, calls) in [
        (status(404), 2),
        (Err("busy"), 2),
        (status(503), 1),
        (Err("gone"), 1),
    ] {
        let server = Server::new(clock, [answer, status(200)]);
        let _ = client(closure.clone(), &server).oneshot(get("/")).await;
        assert_eq!(server.calls(), calls);
    }

    let only_409 = ByStatus::default().with_statuses([StatusCode::CONFLICT]);
    for (answer, calls) in [(status(409), 2), (status(503), 1)] {
        let server = Server::new(clock, [answer, status(200)]);
        let policy = policy(clock).with_statuses(only_409);
        client(policy, &server).oneshot(get("/")).await.unwrap();
        assert_eq!(server.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_cancellation() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(503)]);
    let retrying = client(policy(clock), &server).oneshot(get("/"));
    let cancelled = timeout(Duration::from_millis(1500), retrying).await;
    assert!(cancelled.is_err());
    tokio::time::advance(Duration::from_secs(100)).await;
    tokio::task::yield_now().await;
    assert_eq!(server.times(), [0, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_a_request_with_all_its_retries() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(503)]);
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(10)).unwrap();
    let policy = policy(clock).with_backoff(backoff).with_max_retries(100);
    let retrying = client(policy, &server).oneshot(get("/"));
    assert!(timeout(Duration::from_millis(50), retrying).await.is_err());
    assert_eq!(clock.millis(), 50);
    assert!((1..=9).contains(&server.calls()), "{}", server.calls());
}

#[tokio::test(start_paused = true)]
async fn the_request_is_sent_again_as_it_was() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&attempts);
    let server = service_fn(move |request: Request<Full<Bytes>>| {
        let attempt = seen.fetch_add(1, SeqCst);
        async move {
            assert_eq!(request.method(), "PUT");
            assert_eq!(request.uri(), "http://example.com/a?b");
            assert_eq!(request.version(), http::Version::HTTP_2);
            assert_eq!(request.headers()["x-a"], "1");
            assert_eq!(request.extensions().get(), Some(&7_u8));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "payload");
            let mut response = Response::new(());
            if attempt == 0 {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let request = Request::put("http://example.com/a?b")
        .version(http::Version::HTTP_2)
        .header("x-a", "1")
        .extension(7_u8)
        .body(Full::from("payload"));
    let client = RetryLayer::new(RetryPolicy::new()).layer(server);
    let response = client.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(attempts.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn f74_a_streamed_body_is_retried_if_it_was_short_enough() {
    for (limit, expected) in [(5, 2), (4, 1)] {
        let attempts = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&attempts);
        let server = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
            seen.fetch_add(1, SeqCst);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "asked");
                let response = Response::builder().status(503);
                Ok::<_, Infallible>(response.body(()).unwrap())
            }
        });
        let policy = RetryPolicy::new().with_max_retries(1);
        let client = RetryLayer::new(policy).layer(server);
        let request = get("/").map(|body| ReplayBody::new(body, limit));
        client.oneshot(request).await.unwrap();
        assert_eq!(attempts.load(SeqCst), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn jitter_is_spread_over_a_tenth_and_only_ever_added() {
    let next = Arc::new(AtomicU64::new(0));
    let mut tenths = [0_u32; 10];
    for _ in 0..1000 {
        let clock = TokioClock::new();
        let server = Server::new(clock, [with(503, "retry-after", 10), status(200)]);
        let next = Arc::clone(&next);
        let random = move || next.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
        let policy = policy(clock).with_random(random);
        client(policy, &server).oneshot(get("/")).await.unwrap();
        let late = server.times()[1] - 10_000;
        // Tokio's timer rounds up to a millisecond.
        tenths[usize::try_from(late / 100).unwrap().min(9)] += 1;
    }
    assert!(
        tenths.iter().all(|count| (80..=120).contains(count)),
        "{tenths:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_jitter_of_the_default_policy_differs_from_request_to_request() {
    let mut delays = std::collections::HashSet::new();
    for _ in 0..50 {
        let clock = TokioClock::new();
        let server = Server::new(clock, [status(503), status(200)]);
        let client = RetryLayer::new(RetryPolicy::new()).layer(server.clone());
        client.oneshot(get("/")).await.unwrap();
        assert!((1000..=1101).contains(&server.times()[1]));
        delays.insert(server.times()[1]);
    }
    // 50 out of 100 milliseconds: a constant is 1.
    assert!(delays.len() > 10, "{delays:?}");
}

#[test]
fn a_policy_may_be_made_and_used_outside_of_a_runtime_as_long_as_nothing_waits() {
    let server = service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(())))
    });
    let mut client = RetryLayer::new(RetryPolicy::default()).layer(server);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(Service::<Request<Full<Bytes>>>::poll_ready(&mut client, &mut cx).is_ready());
    let mut future = std::pin::pin!(client.call(get("/")));
    assert!(future.as_mut().poll(&mut cx).is_ready());
}
