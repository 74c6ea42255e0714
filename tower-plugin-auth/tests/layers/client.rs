//! `BearerLayer`.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{
    Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use tokio::{sync::Semaphore, task::JoinSet};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_auth::{
    ManualClock, Rejection,
    authenticate::CredentialHeader,
    client::{Bearer, BearerLayer, BearerToken, Origin, TokenSource},
};

use crate::support::{Body, text, warnings_in};

/// Hands out `token-1`, `token-2`, ... as slowly as it is told to.
#[derive(Clone)]
struct Source(Arc<Shared>);

struct Shared {
    fetches: AtomicUsize,
    fails: AtomicBool,
    panics: AtomicBool,
    gate: Semaphore,
    lifetime: Option<Duration>,
}

impl Source {
    /// Answers at once.
    fn open(lifetime: Option<Duration>) -> Self {
        let source = Self::shut(lifetime);
        source.0.gate.add_permits(Semaphore::MAX_PERMITS / 2);
        source
    }

    /// Answers when it is let.
    fn shut(lifetime: Option<Duration>) -> Self {
        Self(Arc::new(Shared {
            fetches: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            gate: Semaphore::new(0),
            lifetime,
        }))
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(SeqCst)
    }

    fn fail(&self, fails: bool) {
        self.0.fails.store(fails, SeqCst);
    }
}

impl TokenSource for Source {
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<BearerToken>> + Send>>;

    fn fetch(&self) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let number = shared.fetches.fetch_add(1, SeqCst) + 1;
        Box::pin(async move {
            shared.gate.acquire().await.unwrap().forget();
            assert!(!shared.panics.load(SeqCst), "as it was told to");
            if shared.fails.load(SeqCst) {
                return Err(io::Error::other("endpoint is down"));
            }
            let text = format!("token-{number}");
            let token = match shared.lifetime {
                None => BearerToken::without_expiry(&text),
                Some(lifetime) => BearerToken::new(&text, lifetime),
            };
            token.map_err(io::Error::other)
        })
    }
}

/// Answers with the `Authorization` it was sent, and with the status it is told.
#[derive(Clone, Default)]
struct Echo {
    status: Arc<AtomicU16>,
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let value = request.headers().get(AUTHORIZATION);
        assert!(value.is_none_or(http::HeaderValue::is_sensitive));
        let text = value.map_or("nothing", |value| value.to_str().unwrap());
        let mut response = Response::new(Body::from(text.to_owned()));
        match self.status.load(SeqCst) {
            0 => {}
            // In gRPC, which always answers 200.
            16 => drop(
                response
                    .headers_mut()
                    .insert("grpc-status", "16".parse().unwrap()),
            ),
            status => *response.status_mut() = status.try_into().unwrap(),
        }
        std::future::ready(Ok(response))
    }
}

const ORIGIN: &str = "https://plugins.example";
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn client(source: &Source, clock: &ManualClock) -> Bearer<Echo, Source> {
    BearerLayer::new(source.clone(), Origin::new(ORIGIN).unwrap())
        .with_clock(clock.clone())
        .layer(Echo::default())
}

fn to(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(Body::default()).unwrap()
}

async fn get(client: &Bearer<Echo, Source>) -> String {
    let response = client
        .clone()
        .oneshot(to(&format!("{ORIGIN}/a")))
        .await
        .unwrap();
    match response.status().as_u16() {
        200 | 401 => text(response).await,
        status => status.to_string(),
    }
}

/// Lets every task run until it has nothing to do.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_token_goes_to_its_origin_and_nowhere_else() {
    let source = Source::open(Some(HOUR));
    let client = client(&source, &ManualClock::new());
    for (uri, expected) in [
        ("https://plugins.example/a", "Bearer token-1"),
        ("https://plugins.example:443/", "Bearer token-1"),
        ("/cache.v1.Cache/Get", "Bearer token-1"),
        ("http://plugins.example/", "nothing"),
        ("https://plugins.example:8443/", "nothing"),
        ("https://plugins.example.evil/", "nothing"),
        ("https://elsewhere.example/", "nothing"),
    ] {
        let response = client.clone().oneshot(to(uri)).await.unwrap();
        assert_eq!(text(response).await, expected, "{uri}");
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_credential_of_the_callers_own_is_left_alone() {
    let source = Source::open(None);
    let mut request = to("/");
    let mut own: http::HeaderValue = "Bearer mine".parse().unwrap();
    own.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, own);
    let response = client(&source, &ManualClock::new())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(text(response).await, "Bearer mine");
    assert_eq!(source.fetches(), 0);
}

/// The reference's client providers: other headers, other prefixes, several at once.
#[tokio::test]
async fn two_layers_send_two_credentials() {
    let origin = || Origin::new(ORIGIN).unwrap();
    let custom = CredentialHeader::new("x-custom-auth".parse().unwrap()).with_scheme("Token");
    let key = CredentialHeader::new("x-api-key".parse().unwrap());
    let fixed = |text: &'static str| async move || BearerToken::without_expiry(text);
    let show = service_fn(async |request: Request<Body>| {
        let value = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert!(
            format!("{:?}", request.headers())
                .matches("Sensitive")
                .count()
                == 2
        );
        let shown = format!("{}, {}", value("x-custom-auth"), value("x-api-key"));
        Ok::<_, Infallible>(Response::new(Body::from(shown)))
    });
    let client = BearerLayer::new(fixed("my-custom-token"), origin())
        .with_header(custom.unwrap())
        .layer(
            BearerLayer::new(fixed("key"), origin())
                .with_header(key)
                .layer(show),
        );
    let response = client.oneshot(to("/")).await.unwrap();
    assert_eq!(text(response).await, "Token my-custom-token, key");
}

/// F17: the reference held its lock while it fetched, and fetched as often as it was asked.
#[tokio::test]
async fn f17_a_hundred_requests_wait_for_one_fetch() {
    let source = Source::shut(Some(HOUR));
    let client = client(&source, &ManualClock::new());
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        requests.spawn(async move { get(&client).await });
    }
    settle().await;
    assert_eq!(source.fetches(), 1);
    source.0.gate.add_permits(1);
    for answer in requests.join_all().await {
        assert_eq!(answer, "Bearer token-1");
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_caller_that_loses_interest_takes_no_fetch_with_it() {
    let source = Source::shut(Some(HOUR));
    let client = client(&source, &ManualClock::new());
    let first = tokio::spawn({
        let client = client.clone();
        async move { get(&client).await }
    });
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    source.0.gate.add_permits(1);
    assert_eq!(get(&client).await, "Bearer token-1");
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn nobody_waits_for_the_next_token_while_the_last_one_is_good() {
    let clock = ManualClock::new();
    let source = Source::shut(Some(HOUR));
    source.0.gate.add_permits(1);
    let client = client(&source, &clock);
    assert_eq!(get(&client).await, "Bearer token-1");

    clock.advance(HOUR - Duration::from_secs(301));
    assert_eq!(get(&client).await, "Bearer token-1");
    settle().await;
    assert_eq!(source.fetches(), 1, "not before its time");

    clock.advance(SECOND);
    for _ in 0..10 {
        assert_eq!(get(&client).await, "Bearer token-1");
        settle().await;
    }
    assert_eq!(source.fetches(), 2, "one at a time, in the background");
    source.0.gate.add_permits(1);
    settle().await;
    assert_eq!(get(&client).await, "Bearer token-2");
}

#[tokio::test]
async fn a_short_token_is_refreshed_in_its_last_third_and_not_sent_in_its_last_tenth() {
    let clock = ManualClock::new();
    let source = Source::shut(Some(Duration::from_secs(30)));
    source.0.gate.add_permits(1);
    let client = client(&source, &clock);
    assert_eq!(get(&client).await, "Bearer token-1");
    clock.advance(Duration::from_millis(19_999));
    assert_eq!(get(&client).await, "Bearer token-1");
    settle().await;
    assert_eq!(source.fetches(), 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(get(&client).await, "Bearer token-1");
    settle().await;
    assert_eq!(source.fetches(), 2);
    clock.advance(Duration::from_secs(7));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { get(&client).await }
    });
    settle().await;
    assert!(!waiting.is_finished(), "sent a token that dies on the way");
    source.0.gate.add_permits(1);
    assert_eq!(waiting.await.unwrap(), "Bearer token-2");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_source_is_left_in_peace() {
    let clock = ManualClock::new();
    let source = Source::open(Some(HOUR));
    source.fail(true);
    let client = client(&source, &clock);
    for (fetches, pause) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30)] {
        let response = client.clone().oneshot(to("/")).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], pause.to_string().as_str());
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.reason(), "TOKEN_UNAVAILABLE");
        assert_eq!(source.fetches(), fetches);

        clock.advance(Duration::from_secs(pause) - Duration::from_nanos(1));
        assert_eq!(get(&client).await, "503");
        assert_eq!(source.fetches(), fetches, "asked during the pause");
        clock.advance(Duration::from_nanos(1));
    }
    source.fail(false);
    assert_eq!(get(&client).await, "Bearer token-8");

    // In the caller's protocol.
    source.fail(true);
    clock.advance(HOUR);
    let mut request = to("/cache.v1.Cache/Get");
    let grpc = "application/grpc".parse().unwrap();
    request.headers_mut().insert(CONTENT_TYPE, grpc);
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn a_token_at_hand_outlives_a_source_that_is_down() {
    let clock = ManualClock::new();
    let source = Source::open(Some(HOUR));
    let client = client(&source, &clock);
    assert_eq!(get(&client).await, "Bearer token-1");
    source.fail(true);
    clock.advance(HOUR - Duration::from_secs(60));
    for fetches in 2..5 {
        assert_eq!(get(&client).await, "Bearer token-1");
        settle().await;
        assert_eq!(source.fetches(), fetches);
        assert_eq!(get(&client).await, "Bearer token-1");
        assert_eq!(source.fetches(), fetches, "asked during the pause");
        clock.advance(Duration::from_secs(8));
    }
    clock.advance(Duration::from_secs(60));
    assert_eq!(get(&client).await, "503");
}

/// Caught by the runtime, and counted as a failure.
#[tokio::test]
async fn a_source_that_panics_or_hangs_has_failed() {
    let clock = ManualClock::new();
    let source = Source::open(None);
    source.0.panics.store(true, SeqCst);
    let client = client(&source, &clock);
    assert_eq!(get(&client).await, "503");
    source.0.panics.store(false, SeqCst);
    clock.advance(SECOND);
    assert_eq!(get(&client).await, "Bearer token-2");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up() {
    let hangs = || pending::<io::Result<BearerToken>>();
    let layer = BearerLayer::new(hangs, Origin::new(ORIGIN).unwrap());
    let layer = layer
        .with_fetch_timeout(Duration::from_millis(700))
        .unwrap();
    let asked = tokio::time::Instant::now();
    let response = layer.layer(Echo::default()).oneshot(to("/")).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(asked.elapsed(), Duration::from_millis(700));
}

#[test]
fn a_fetch_timeout_outside_its_range_is_an_error() {
    for limit in [Duration::ZERO, Duration::from_secs(301)] {
        let layer = BearerLayer::new(Source::open(None), Origin::new(ORIGIN).unwrap());
        let error = layer.with_fetch_timeout(limit).unwrap_err();
        assert_eq!(
            error.to_string(),
            "fetch timeout must be between 1 millisecond and 5 minutes"
        );
    }
}

/// F17: the reference kept a token that the server refused until the process ended.
#[tokio::test]
async fn f17_a_refused_token_is_replaced_but_not_time_and_again() {
    for status in [401, 16] {
        let clock = ManualClock::new();
        let source = Source::open(Some(HOUR));
        let client = client(&source, &clock);
        assert_eq!(get(&client).await, "Bearer token-1");

        // Refused so soon: another one would be as well.
        client.get_ref().status.store(status, SeqCst);
        for _ in 0..5 {
            assert_eq!(get(&client).await, "Bearer token-1");
        }
        assert_eq!(source.fetches(), 1);

        clock.advance(Duration::from_millis(10_001));
        assert_eq!(get(&client).await, "Bearer token-1", "handed on as it is");
        for _ in 0..5 {
            assert_eq!(get(&client).await, "Bearer token-2");
        }
        assert_eq!(source.fetches(), 2);
    }
}

#[tokio::test]
async fn other_answers_keep_the_token() {
    let clock = ManualClock::new();
    let source = Source::open(Some(HOUR));
    let client = client(&source, &clock);
    for status in [403, 500, 503] {
        client.get_ref().status.store(status, SeqCst);
        clock.advance(Duration::from_secs(60));
        assert_eq!(get(&client).await, status.to_string());
    }
    assert_eq!(source.fetches(), 1);
}

/// A late refusal of an old token says nothing about the new one.
#[tokio::test]
async fn a_refusal_of_an_old_token_spares_the_new_one() {
    let clock = ManualClock::new();
    let source = Source::open(Some(HOUR));
    let (answers, answer) = tokio::sync::oneshot::channel::<()>();
    let answer = Arc::new(parking_lot::Mutex::new(Some(answer)));
    // The first request is answered late, with 401; the others at once.
    let server = service_fn(move |request: Request<Body>| {
        let late = answer.lock().take();
        async move {
            let sent = request.headers()[AUTHORIZATION]
                .to_str()
                .unwrap()
                .to_owned();
            let status = match late {
                Some(late) => late.await.map_or(500, |()| 401),
                None => 200,
            };
            let response = Response::builder().status(status).body(Body::from(sent));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    let client = BearerLayer::new(source.clone(), Origin::new(ORIGIN).unwrap())
        .with_clock(clock.clone())
        .layer(server);
    let late = tokio::spawn(client.clone().oneshot(to("/")));
    settle().await;
    clock.advance(HOUR);
    let second = client.clone().oneshot(to("/")).await.unwrap();
    assert_eq!(text(second).await, "Bearer token-2");
    clock.advance(Duration::from_secs(60));

    answers.send(()).unwrap();
    assert_eq!(late.await.unwrap().unwrap().status(), 401);
    let third = client.clone().oneshot(to("/")).await.unwrap();
    assert_eq!(text(third).await, "Bearer token-2");
    assert_eq!(source.fetches(), 2);
}

#[test]
fn outside_of_a_runtime_there_is_no_token_and_no_panic() {
    let source = Source::open(None);
    let mut client = client(&source, &ManualClock::new());
    let mut call = Box::pin(client.call(to("/")));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(response)) = call.as_mut().poll(&mut cx) else {
        panic!("it waits for a fetch that nobody makes");
    };
    assert_eq!(response.status(), 503);
    assert!(call.as_mut().poll(&mut cx).is_pending());
}

#[test]
fn a_runtime_that_ends_takes_its_fetch_along_and_the_next_one_fetches() {
    let clock = ManualClock::new();
    let source = Source::shut(None);
    let client = client(&source, &clock);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        let waiting = tokio::spawn(client.clone().oneshot(to("/")));
        settle().await;
        assert!(!waiting.is_finished());
    });
    assert_eq!(source.fetches(), 1);
    clock.advance(SECOND);
    source.0.gate.add_permits(1);
    assert_eq!(runtime().block_on(get(&client)), "Bearer token-2");
}

#[test]
fn no_token_is_shown() {
    let token = BearerToken::new("hunter2", HOUR).unwrap();
    assert!(!format!("{token:?}").contains("hunter2"));
    for text in ["", "a b", "a\nb", "ä", &"t".repeat(4097)] {
        let error = BearerToken::new(text, HOUR).unwrap_err().to_string();
        assert_eq!(error, "token must be 1 to 4096 visible ASCII characters");
    }
    let client = client(&Source::open(None), &ManualClock::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        assert_eq!(get(&client).await, "Bearer token-1");
        let layer = BearerLayer::new(Source::open(None), Origin::new(ORIGIN).unwrap());
        let inner = BearerLayer::new(Source::open(None), Origin::new(ORIGIN).unwrap());
        let shown = format!("{layer:?} {:?}", inner.layer(7));
        assert!(!shown.contains("token-1"), "{shown}");
    });
}

/// How many warnings a layer for this origin, a clone of it and their services give.
fn warnings_for(origin: &Origin) -> usize {
    warnings_in(|| {
        let layer = BearerLayer::new(Source::open(None), origin.clone());
        for layer in [layer.clone(), layer] {
            drop(layer.layer(Echo::default()));
        }
    })
}

#[test]
fn an_origin_in_clear_is_warned_of_once_and_no_other_is() {
    for uri in ["https://a.example", "unix:/run/plugins.sock"] {
        assert_eq!(warnings_for(&Origin::new(uri).unwrap()), 0, "{uri}");
    }
    let in_clear = Origin::insecure("http://a.example").unwrap();
    assert_eq!(warnings_for(&in_clear), 1);
    // Each layer is somebody's decision.
    assert_eq!(warnings_for(&in_clear), 1);
}

/// Run by the next test, in a process with the variable set.
#[test]
#[ignore = "wants a variable in its environment"]
fn silenced() {
    let in_clear = Origin::insecure("http://a.example").unwrap();
    assert_eq!(warnings_for(&in_clear), 0);
    // It silences, and makes no origin secure.
    assert!(Origin::new("http://a.example").is_err());
}

#[test]
fn the_variable_silences_the_warning_and_makes_nothing_secure() {
    for (value, expected) in [("1", true), ("YES", true), ("0", false), ("", false)] {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "client::silenced", "--ignored"])
            .env(tower_plugin_auth::transport::DISABLE_TLS_WARNING, value)
            .output()
            .unwrap()
            .status;
        assert_eq!(status.success(), expected, "{value:?}");
    }
}
