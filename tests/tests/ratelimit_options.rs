//! What the rate limiting layer can be told.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn, util::ServiceFn};
use tower_plugin_core::{ManualClock, Principal, Rejection};
use tower_plugin_ratelimit::{
    Cost, Counts, LegacyHeaders, LivePolicy, MemoryLimiter, Mode, OnFull, Operation, Policy,
    PolicySource, Quota, RateLimitHeaders, RateLimitLayer, RequestHead, Verdict, key,
};

#[tokio::test]
async fn a_request_pays_what_it_costs_and_never_more_than_there_is() {
    let layer =
        RateLimitLayer::new(quota("10/h"), key::Global).with_cost(|request: &RequestHead<'_>| {
            let units = request.uri.path().trim_start_matches('/').parse().ok();
            units.and_then(Cost::new).unwrap_or(Cost::ONE)
        });
    let mut service = layer.layer(echo());
    assert_eq!(get(&mut service, "/7").await.status(), 200);
    // A denial debits nothing: the three that are left are left.
    assert_eq!(get(&mut service, "/4").await.status(), 429);
    assert_eq!(get(&mut service, "/3").await.status(), 200);

    let never = get(&mut service, "/11").await;
    assert_eq!(never.status(), 429);
    let rejection = never.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), "COST_EXCEEDS_BURST");
    assert!(
        !never.headers().contains_key("retry-after"),
        "no waiting helps"
    );
}

#[tokio::test]
async fn only_what_the_filter_says_is_limited() {
    let mut service = RateLimitLayer::new(quota("1/h"), key::Global)
        .with_filter(|request: &RequestHead<'_>| request.uri.path() == "/limited")
        .layer(echo());
    for expected in [200, 429, 429] {
        assert_eq!(get(&mut service, "/limited").await.status(), expected);
        assert_eq!(get(&mut service, "/free").await.status(), 200);
    }
}

#[tokio::test]
async fn the_plan_of_the_principal_chooses_the_policy() {
    let gold = Policy::new("gold", [quota("3/h")]).unwrap();
    let plans = PolicySource::per_request(quota("1/h"), move |request: &RequestHead<'_>| {
        let plan = request.extensions.get::<Principal>()?.attribute("plan")?;
        (plan == "gold").then(|| gold.clone())
    });
    let mut service = RateLimitLayer::new(plans, key::Principal).layer(echo());
    let mut admitted = async |principal: Principal| {
        let mut count = 0;
        for _ in 0..9 {
            let mut request = Request::new(Full::default());
            request.extensions_mut().insert(principal.clone());
            let response = respond(&mut service, request).await;
            count += usize::from(response.status() == 200);
        }
        count
    };
    assert_eq!(admitted(Principal::new("runtime", "a")).await, 1);
    let gold = Principal::new("runtime", "b").with_attribute("plan", "gold");
    assert_eq!(admitted(gold).await, 3);
}

#[tokio::test]
async fn a_policy_is_exchanged_while_servers_run_and_debts_remain() {
    let clock = ManualClock::new();
    let live = LivePolicy::new(Policy::new("api", [quota("10/h")]).unwrap());
    let mut service =
        RateLimitLayer::with_limiter(limiter(&clock), live.clone(), key::Global).layer(echo());
    for _ in 0..6 {
        assert_eq!(get(&mut service, "/").await.status(), 200);
    }
    // Six of ten an hour are 36 minutes' worth; of four an hour that leaves room for one.
    live.set(live.get().with_quotas([quota("4/h")]).unwrap());
    assert_eq!(get(&mut service, "/").await.status(), 200);
    let refused = get(&mut service, "/").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["ratelimit-policy"], "\"api\";q=4;w=3600");
    // 51 minutes' worth are owed now; of ten an hour that leaves room for one.
    live.set(live.get().with_quotas([quota("10/h")]).unwrap());
    assert_eq!(get(&mut service, "/").await.status(), 200);
    assert_eq!(get(&mut service, "/").await.status(), 429);
}

#[tokio::test]
async fn counting_401s_stops_guessing_and_nobody_else() {
    let clock = ManualClock::new();
    let mut service = RateLimitLayer::with_limiter(limiter(&clock), quota("3/h"), key::Global)
        .with_charge_after(|response| response.status == StatusCode::UNAUTHORIZED)
        .layer(echo());
    for _ in 0..20 {
        assert_eq!(get(&mut service, "/200").await.status(), 200);
    }
    for expected in [401, 401, 401, 429] {
        assert_eq!(get(&mut service, "/401").await.status(), expected);
    }
    // Locked out, whatever it would have said.
    assert_eq!(get(&mut service, "/200").await.status(), 429);
    clock.advance(Duration::from_secs(1200));
    assert_eq!(get(&mut service, "/200").await.status(), 200);
}

#[tokio::test]
async fn what_is_paid_back_was_never_above_the_quota() {
    let clock = ManualClock::new();
    let mut service = RateLimitLayer::with_limiter(limiter(&clock), quota("2/h"), key::Global)
        .with_refund_if(|response| response.status.is_server_error())
        .with_headers(RateLimitHeaders::Always)
        .layer(echo());
    for _ in 0..20 {
        let failed = get(&mut service, "/503").await;
        assert_eq!(failed.status(), 503);
        assert_eq!(failed.headers()["ratelimit"], "\"default\";r=2");
    }
    for expected in [200, 200, 429] {
        assert_eq!(get(&mut service, "/200").await.status(), expected);
    }
}

#[tokio::test]
async fn observing_refuses_nobody_and_tells_all() {
    let layer = RateLimitLayer::new(quota("2/h"), key::Global).with_mode(Mode::Observe);
    let mut service = layer.layer(echo());
    for _ in 0..5 {
        assert_eq!(get(&mut service, "/").await.status(), 200);
    }
    let Counts {
        allowed, denied, ..
    } = layer.counts();
    assert_eq!((allowed, denied), (2, 3));
}

#[tokio::test]
async fn a_threshold_is_told_before_the_limit_is_met() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let mut service = RateLimitLayer::new(Policy::new("api", [quota("5/h")]).unwrap(), key::Global)
        .with_threshold(80, move |policy, decision| {
            let told = (policy.name().to_owned(), decision.used_percent());
            teller.lock().unwrap().push((told, decision.is_allowed()));
        })
        .layer(echo());
    for _ in 0..6 {
        get(&mut service, "/").await;
    }
    let api = |percent| ("api".to_owned(), percent);
    let expected = [(api(80), true), (api(100), true), (api(100), false)];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn older_headers_and_a_body_of_the_users_own() {
    let mut service = RateLimitLayer::new(quota("2/h"), key::Global)
        .with_headers(RateLimitHeaders::Always)
        .with_legacy_headers(LegacyHeaders::XRateLimit)
        .with_body(|rejection| {
            let mut response = Response::new(Bytes::from(rejection.reason()));
            let plain = HeaderValue::from_static("text/plain");
            response.headers_mut().insert("content-type", plain);
            response
        })
        .layer(echo());
    let admitted = get(&mut service, "/").await;
    let seen = |name| admitted.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        [
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset"
        ]
        .map(seen),
        ["2", "1", "1800"]
    );
    get(&mut service, "/").await;
    let refused = get(&mut service, "/").await;
    assert_eq!(refused.headers()["x-ratelimit-remaining"], "0");
    assert_eq!(refused.headers()["content-type"], "text/plain");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "RATE_LIMITED");
}

#[test]
fn admin_code_peeks_charges_pays_back_and_resets() {
    let clock = ManualClock::new();
    let limiter = limiter(&clock);
    let policy = Policy::from(quota("5/h"));
    let apply = |operation| limiter.apply_key(&policy, "key", operation);
    let two = Cost::new(2).unwrap();

    assert_eq!(apply(Operation::Peek(two)).remaining(), 5);
    let checked = apply(Operation::Check(two));
    assert_eq!(checked.remaining(), 3);
    assert_eq!(
        apply(Operation::Peek(two)).remaining(),
        3,
        "a peek debits nothing"
    );
    assert_eq!(
        apply(Operation::Charge(Cost::new(9).unwrap())).remaining(),
        0
    );
    assert!(!apply(Operation::Peek(Cost::ONE)).is_allowed());
    let debited_at = checked.made_at();
    let refund = Operation::Refund {
        cost: two,
        debited_at,
    };
    assert_eq!(apply(refund).remaining(), 2);
    assert_eq!(apply(Operation::Reset).remaining(), 5);
    assert_eq!(limiter.stats().indebted, 0);
}

#[test]
fn a_calendar_day_starts_afresh_at_midnight_utc() {
    let clock = ManualClock::new();
    let limiter = limiter(&clock);
    let policy = Policy::from(quota("2/utc-day"));
    let check = || limiter.check_key(&policy, 7, Cost::ONE);
    // 2030-01-01T00:00:00Z, and an hour to midnight.
    clock.advance(Duration::from_secs(23 * 3600));
    assert!(check().is_allowed() && check().is_allowed());
    let denied = check();
    let an_hour = Duration::from_secs(3600);
    assert_eq!(
        denied.verdict(),
        Verdict::Deny {
            retry_after: an_hour
        }
    );
    clock.advance(an_hour - Duration::from_nanos(1));
    assert!(!check().is_allowed());
    clock.advance(Duration::from_nanos(1));
    assert!(check().is_allowed());
}

#[tokio::test(start_paused = true)]
async fn who_may_wait_goes_on_in_turn() {
    let clock = ManualClock::new();
    let policy = Policy::from(quota("10/s:1")).with_max_wait(Duration::from_millis(250));
    let layer = RateLimitLayer::with_limiter(limiter(&clock), policy, key::Global);
    let service = layer.layer(echo());
    let start = tokio::time::Instant::now();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    for number in 0..4 {
        let mut service = service.clone();
        let order = Arc::clone(&order);
        calls.push(async move {
            let response = get(&mut service, "/").await;
            let after = start.elapsed().as_millis();
            order.lock().unwrap().push((number, after));
            (
                response.status().as_u16(),
                response.headers().get("retry-after").cloned(),
            )
        });
    }
    let results = tokio::join!(
        calls.remove(0),
        calls.remove(0),
        calls.remove(0),
        calls.remove(0)
    );
    assert_eq!([results.0.0, results.1.0, results.2.0], [200; 3]);
    // The fourth would have had to wait for 300 ms.
    assert_eq!(results.3, (429, Some(HeaderValue::from_static("1"))));
    let order = order.lock().unwrap();
    assert_eq!(order[..2], [(0, 0), (3, 0)]);
    assert!(
        matches!(order[2], (1, 100..=101)) && matches!(order[3], (2, 200..=201)),
        "{order:?}"
    );
    let counts = layer.counts();
    assert_eq!((counts.allowed, counts.waited, counts.denied), (3, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_bounded_and_who_gives_up_pays_nothing() {
    let clock = ManualClock::new();
    let policy = Policy::from(quota("10/s:1")).with_max_wait(Duration::from_secs(60));
    let layer = RateLimitLayer::with_limiter(limiter(&clock), policy.clone(), key::Global)
        .with_max_waiting(2);
    let mut service = layer.layer(echo());
    assert_eq!(get(&mut service, "/").await.status(), 200);

    let mut waiting = [service.clone(), service.clone()];
    let [first, second] = &mut waiting;
    let mut first = Box::pin(get(first, "/"));
    let mut second = Box::pin(get(second, "/"));
    assert!(futures_poll(&mut first).is_pending() && futures_poll(&mut second).is_pending());
    let refused = get(&mut service, "/").await;
    assert_eq!(refused.status(), 429, "no room to wait");
    assert_eq!(refused.headers()["retry-after"], "1");

    // Two gave up before their turn, and the refused one never waited.
    drop((first, second));
    let owed = layer
        .limiter()
        .apply_key(&policy, (), Operation::Peek(Cost::ONE));
    assert_eq!(owed.wait(), Duration::from_millis(100));
    assert_eq!(get(&mut service, "/").await.status(), 200);
}

#[test]
fn telling_where_one_stands_costs_two_allocations() {
    let bare = service_fn(|_: Request<()>| {
        let mut response = Response::new(());
        // The growth of the map is the server's own.
        response.headers_mut().reserve(8);
        ready(Ok::<_, Infallible>(response))
    });
    let layer = RateLimitLayer::new(quota("1000/s"), key::Global);
    let silent = layer.layer(bare);
    let telling = layer.with_headers(RateLimitHeaders::Always).layer(bare);
    assert_eq!(allocations(silent) - allocations(bare), 0);
    assert_eq!(allocations(telling) - allocations(bare), 2);
}

fn allocations<S: Service<Request<()>>>(mut service: S) -> u64 {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    // The first resolves what the policy counts by.
    let [first, second] = [(), ()].map(Request::new);
    assert!(pin!(service.call(first)).poll(&mut cx).is_ready());
    let memory = allocation_counter::measure(|| {
        assert!(pin!(service.call(second)).poll(&mut cx).is_ready());
    });
    memory.count_total
}

type Echo = ServiceFn<fn(Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>>;

/// Answers with the status in the path.
fn echo() -> Echo {
    service_fn(|request| {
        let status = request.uri().path().trim_start_matches('/').parse();
        let mut response = Response::new(Full::default());
        if let Some(status) = status.ok().and_then(|s: u16| StatusCode::from_u16(s).ok()) {
            *response.status_mut() = status;
        }
        ready(Ok(response))
    })
}

async fn get<S, B>(service: &mut S, path: &str) -> Response<B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let request = Request::get(path).body(Full::default()).unwrap();
    respond(service, request).await
}

async fn respond<S, B>(service: &mut S, request: Request<Full<Bytes>>) -> Response<B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let ready = service.ready().await.unwrap();
    ready.call(request).await.unwrap()
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut cx)
}

fn limiter(clock: &ManualClock) -> MemoryLimiter<ManualClock> {
    MemoryLimiter::with_clock(100, OnFull::Forget, clock.clone()).unwrap()
}

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}
