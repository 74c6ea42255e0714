use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{
    task::{JoinHandle, yield_now},
    time::{advance, sleep},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_plugin_ratelimit::{
    MemoryLimiter, OnFull, RateLimitHeaders, RateLimitLayer, Rejection, ResponseBody,
    client::{Throttle, ThrottleLayer},
    key,
};

use crate::support::{Call, Server, TokioClock, get, grpc, status, with};

type Answered = Result<Response<ResponseBody<Full<bytes::Bytes>>>, &'static str>;

fn throttled(quota: &str, clock: TokioClock) -> ThrottleLayer {
    ThrottleLayer::new(quota.parse().unwrap()).with_clock(clock)
}

/// Sends one after the other, without waiting for the answers.
async fn send(client: &Throttle<Server>, paths: &[&str]) -> Vec<JoinHandle<Answered>> {
    let mut sent = Vec::new();
    for path in paths {
        let request: Call = get(path);
        sent.push(tokio::spawn(client.clone().oneshot(request)));
        yield_now().await;
    }
    sent
}

async fn all(sent: Vec<JoinHandle<Answered>>) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    for one in sent {
        statuses.push(one.await.unwrap().unwrap().status());
    }
    statuses
}

#[tokio::test(start_paused = true)]
async fn by_default_one_is_sent_every_tenth_of_a_second() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let client = ThrottleLayer::default()
        .with_clock(clock)
        .layer(server.clone());
    let sent = send(&client, &["/0", "/1", "/2", "/3"]).await;
    assert_eq!(all(sent).await, [200; 4]);
    assert_eq!(server.times(), [0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_quota_can_be_kept() {
    for (quota, expected) in [
        ("20/s:2", [0, 0, 50, 100]),
        ("<=4/s", [0, 0, 334, 667]),
        ("600/utc-minute", [0, 100, 200, 300]),
    ] {
        let clock = TokioClock::new();
        let server = Server::new(clock, [status(200)]);
        let client = throttled(quota, clock).layer(server.clone());
        all(send(&client, &["/0", "/1", "/2", "/3"]).await).await;
        assert_eq!(server.times(), expected, "{quota}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_first_is_sent_first() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let client = throttled("1000/s:3", clock).layer(server.clone());
    let paths: Vec<_> = (0..100).map(|index| format!("/{index}")).collect();
    let borrowed: Vec<_> = paths.iter().map(String::as_str).collect();
    all(send(&client, &borrowed).await).await;
    assert_eq!(server.paths(), paths);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_overtake_one_that_is_due() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let mut client = throttled("10/s:1", clock).layer(server.clone());
    client.ready().await.unwrap().call(get("/0")).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut second = pin!(client.call(get("/1")));
    assert!(second.as_mut().poll(&mut cx).is_pending());
    advance(Duration::from_millis(100)).await;
    let mut third = pin!(client.call(get("/2")));
    assert!(third.as_mut().poll(&mut cx).is_pending());
    assert!(second.as_mut().poll(&mut cx).is_ready());
    assert_eq!(server.paths(), ["/0", "/1"]);
}

#[tokio::test(start_paused = true)]
async fn cancellation_gives_the_place_to_those_behind() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let client = throttled("10/s:1", clock).layer(server.clone());
    let mut sent = send(&client, &["/0", "/1", "/2", "/3"]).await;
    advance(Duration::from_millis(50)).await;
    let cancelled = sent.remove(1);
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    all(sent).await;
    assert_eq!(server.paths(), ["/0", "/2", "/3"]);
    assert_eq!(server.times(), [0, 100, 200]);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_polls_does_not_hold_up_the_line() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let client = throttled("10/s:1", clock).layer(server.clone());
    all(send(&client, &["/0"]).await).await;
    let mut forgotten = Box::pin(client.clone().call(get("/forgotten")));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(forgotten.as_mut().poll(&mut cx).is_pending());
    all(send(&client, &["/1", "/2", "/3"]).await).await;
    assert_eq!(server.paths(), ["/0", "/1", "/2", "/3"]);
    // Passed over once, it holds up nobody any more.
    assert_eq!(server.times(), [0, 250, 350, 450]);
    forgotten.await.unwrap();
    assert_eq!(server.paths().last().unwrap(), "/forgotten");
    assert_eq!(server.times()[4], 550);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_has_its_place_again() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let client = throttled("10/s:1", clock).layer(server.clone());
    all(send(&client, &["/0"]).await).await;
    let mut forgotten = Box::pin(client.clone().call(get("/forgotten")));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(forgotten.as_mut().poll(&mut cx).is_pending());
    let sent = send(&client, &["/1", "/2", "/3"]).await;
    sleep(Duration::from_millis(300)).await;
    // It is next again, and the others leave it some time to notice.
    assert!(forgotten.as_mut().poll(&mut cx).is_pending());
    sleep(Duration::from_millis(80)).await;
    assert_eq!(server.paths(), ["/0", "/1"]);
    assert!(forgotten.as_mut().poll(&mut cx).is_ready());
    all(sent).await;
    assert_eq!(server.paths(), ["/0", "/1", "/forgotten", "/2", "/3"]);
    assert_eq!(server.times(), [0, 250, 380, 480, 580]);
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let layer = throttled("10/s:1", clock).with_max_waiting(2);
    let client = layer.layer(server.clone());
    let mut sent = send(&client, &["/0", "/1", "/2", "/3"]).await;
    let refused = sent.pop().unwrap().await.unwrap().unwrap();
    assert_eq!(clock.millis(), 0, "refused at once");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), "THROTTLE_FULL");
    assert_eq!(rejection.retry_after(), Some(Duration::from_millis(300)));
    // Whoever gives up makes room.
    sent.pop().unwrap().abort();
    yield_now().await;
    sent.extend(send(&client, &["/4"]).await);
    assert_eq!(all(sent).await, [200; 3]);
    assert_eq!(server.paths(), ["/0", "/1", "/4"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_may_be() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let layer = throttled("10/s:1", clock).with_max_wait(Duration::from_millis(200));
    let client = layer.layer(server.clone());
    let sent = send(&client, &["/0", "/1", "/2", "/3"]).await;
    assert_eq!(all(sent).await, [200, 200, 200, 429]);
    assert_eq!(server.times(), [0, 100, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_in_the_callers_protocol() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let layer = throttled("10/s:1", clock).with_max_waiting(0);
    let mut client = layer.layer(server.clone());
    client.ready().await.unwrap().call(get("/")).await.unwrap();
    let mut request = get("/a.B/C");
    let grpc = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", grpc);
    let refused = client.call(request).await.unwrap();
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.headers()["grpc-status"], "8");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_left_alone_as_long_as_it_asks() {
    let cases = [
        with(429, "retry-after", 5),
        with(503, "retry-after", 5),
        with(503, "retry-after", "Tue, 01 Jan 2030 00:00:05 GMT"),
        with(200, "ratelimit", "\"a\";r=0;t=5"),
        with(200, "ratelimit", "\"a\";r=90;t=1, \"b\";r=0;t=5"),
        grpc(8).map(|(status, mut headers)| {
            headers.push(("retry-after", "5".to_owned()));
            (status, headers)
        }),
    ];
    for answer in cases {
        let clock = TokioClock::new();
        let server = Server::new(clock, [answer.clone(), status(200)]);
        let client = throttled("10/s:3", clock).layer(server.clone());
        all(send(&client, &["/0", "/1", "/2"]).await).await;
        assert_eq!(server.times(), [0, 5000, 5100], "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_already_waits_is_refused_when_it_becomes_too_long() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [with(429, "retry-after", 60), status(200)]);
    let client = throttled("10/s:1", clock).layer(server.clone());
    let sent = send(&client, &["/0", "/1"]).await;
    let refused = sent.into_iter().next_back().unwrap().await.unwrap();
    let refused = refused.unwrap();
    assert_eq!(clock.millis(), 0);
    assert_eq!(refused.headers()["retry-after"], "60");
    let rejection = refused.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), "THROTTLE_TOO_LONG");
    assert_eq!(server.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_ask_for_it_does_not_slow_down() {
    for answer in [
        with(200, "retry-after", 5),
        with(404, "retry-after", 5),
        with(429, "retry-after", "soon"),
        with(200, "ratelimit", "\"a\";r=11;t=5"),
        with(200, "ratelimit", "a;r=0;t=5"),
        with(200, "ratelimit", "\"a\";r=0"),
        with(200, "x-ratelimit-remaining", 0),
    ] {
        let clock = TokioClock::new();
        let server = Server::new(clock, [answer.clone(), status(200)]);
        let client = throttled("10/s:1", clock).layer(server.clone());
        all(send(&client, &["/0", "/1"]).await).await;
        assert_eq!(server.times(), [0, 100], "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn little_headroom_is_spread_and_plenty_lifts_it() {
    let clock = TokioClock::new();
    let little = with(200, "ratelimit", "\"a\";r=4;t=2");
    let plenty = with(200, "ratelimit", "\"a\";r=40;t=2");
    let server = Server::new(clock, [little.clone(), little, plenty, status(200)]);
    let client = throttled("10/s:1", clock).layer(server.clone());
    all(send(&client, &["/0", "/1", "/2", "/3", "/4"]).await).await;
    assert_eq!(server.times(), [0, 500, 1000, 1100, 1200]);
}

#[tokio::test(start_paused = true)]
async fn who_sleeps_long_is_woken_when_there_is_more() {
    let clock = TokioClock::new();
    let layer = throttled("10/s:1", clock);
    let late = service_fn(|_: Call| async {
        sleep(Duration::from_millis(200)).await;
        let response = Response::builder().header("ratelimit", "\"a\";r=40;t=2");
        Ok::<_, &'static str>(response.body(()).unwrap())
    });
    let server = Server::new(
        clock,
        [with(200, "ratelimit", "\"a\";r=1;t=10"), status(200)],
    );
    let late = tokio::spawn(layer.layer(late).oneshot(get("/late")));
    yield_now().await;
    let client = layer.layer(server.clone());
    all(send(&client, &["/0", "/1"]).await).await;
    // The first was told to take ten seconds, which another took back.
    assert_eq!(server.times(), [100, 200]);
    late.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_heeds_our_own_server_is_not_refused() {
    let clock = TokioClock::new();
    let limiter = MemoryLimiter::with_clock(10, OnFull::Forget, clock).unwrap();
    let policy: tower_plugin_ratelimit::Quota = "10/s:20".parse().unwrap();
    let limit = RateLimitLayer::with_limiter(limiter, policy, key::Global);
    let server = Server::new(clock, [status(200)]);
    let client = ServiceBuilder::new()
        .layer(throttled("1000/s", clock))
        .layer(limit.with_headers(RateLimitHeaders::Always))
        .service(server.clone());
    for _ in 0..100 {
        let response = client.clone().oneshot(get("/")).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert!(clock.elapsed() < Duration::from_secs(11), "{clock:?}");
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_a_line_and_other_layers_do_not() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let layer = throttled("10/s:1", clock);
    let other = throttled("10/s:1", clock);
    for layer in [&layer, &layer.clone(), &other] {
        let request: Call = get("/");
        layer.layer(server.clone()).oneshot(request).await.unwrap();
    }
    assert_eq!(server.times(), [0, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn waiting_takes_a_runtime_only_once_it_is_polled() {
    let clock = TokioClock::new();
    let server = Server::new(clock, [status(200)]);
    let mut client = throttled("10/s:1", clock).layer(server.clone());
    let first = client.ready().await.unwrap().call(get("/"));
    let second = std::thread::spawn(move || client.call(get("/")));
    let second = second.join().unwrap();
    let body = first.await.unwrap().into_body().collect().await;
    assert_eq!(body.unwrap().to_bytes(), "answered");
    sleep(Duration::from_secs(1)).await;
    second.await.unwrap();
    assert_eq!(server.times(), [0, 1000]);
}
