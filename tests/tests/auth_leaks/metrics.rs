//! What the `metrics` facade is told, by a recorder that keeps every name and label.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tower_plugin_auth::{
    Answer, InsertError, ManualClock, MemoryStore, NewToken, Principal, StoreError, SystemRng,
    TokenStore, Tokens, VerifyError,
    store::{BoxLookup, CachedStore, Found, List, Revocation},
    token::{KeyRing, Record, TokenId, TokenKind},
};

/// Names, labels and the last or added-up value of each. Of a histogram, what was recorded is added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<(String, f64)>>>);

impl Told {
    pub(crate) fn all(&self) -> Vec<(String, f64)> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, key: &Key) -> Figure {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        let mut told = self.0.lock().unwrap();
        if !told.iter().any(|(known, _)| *known == name) {
            told.push((name.clone(), 0.0));
        }
        Figure(self.clone(), name)
    }
}

struct Figure(Told, String);

impl Figure {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        let mut told = self.0.0.lock().unwrap();
        let (_, value) = told.iter_mut().find(|(name, _)| *name == self.1).unwrap();
        change(value);
    }
}

impl CounterFn for Figure {
    fn increment(&self, by: u64) {
        self.change(|value| *value += by as f64);
    }

    fn absolute(&self, to: u64) {
        self.change(|value| *value = to as f64);
    }
}

impl GaugeFn for Figure {
    fn increment(&self, by: f64) {
        self.change(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| *value -= by);
    }

    fn set(&self, to: f64) {
        self.change(|value| *value = to);
    }
}

impl HistogramFn for Figure {
    fn record(&self, value: f64) {
        self.change(|sum| *sum += value);
    }
}

impl Recorder for Told {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(self.note(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(self.note(key)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.note(key)))
    }
}

#[test]
fn what_becomes_of_tokens_is_counted_in_a_few_words() {
    let told = Told::default();
    metrics::with_local_recorder(&told, || {
        let done = live_and_die().now_or_never();
        done.expect("the memory store answers at once");
    });
    let mut figures = told.all();
    figures.sort_by(|a, b| a.0.cmp(&b.0));
    let figures: Vec<_> = figures
        .iter()
        .filter(|(_, value)| *value > 0.0)
        .map(|(name, value)| format!("{} {value}", name.trim_start_matches("tower_plugin_auth_")))
        .collect();
    let expected = [
        "checks_total outcome=accepted 2",
        "checks_total outcome=expired 1",
        "checks_total outcome=malformed 1",
        "checks_total outcome=reused 1",
        "checks_total outcome=unknown 2",
        "checks_total outcome=wrong_kind 1",
        "not_issued_total operation=issue reason=full 1",
        "not_issued_total operation=rotate reason=not_live 1",
        "revoked_total by=id 1",
        "tokens_total event=consumed kind=one_time 1",
        "tokens_total event=issued kind=one_time 1",
        "tokens_total event=issued kind=runtime 2",
        "tokens_total event=reused kind=runtime 1",
        "tokens_total event=rotated kind=runtime 1",
    ];
    assert_eq!(figures, expected);
}

async fn live_and_die() {
    let clock = ManualClock::new();
    let keys = KeyRing::random(&SystemRng).unwrap();
    let tokens = Tokens::builder(MemoryStore::new(3).unwrap(), keys)
        .with_clock(clock.clone())
        .with_reuse_revoking_family(false)
        .build()
        .unwrap();
    let new = |kind| NewToken::for_principal(kind, Principal::new("plugin", "cache"));
    let check = async |text: &str| {
        let verified = tokens.verify(TokenKind::Runtime, text.as_bytes()).await;
        verified.is_ok()
    };

    let once = tokens.issue(new(TokenKind::OneTime)).await.unwrap();
    let once = once.token().expose().as_bytes();
    assert!(tokens.consume(once).await.is_ok());
    assert!(tokens.consume(once).await.is_err());

    let first = tokens.issue(new(TokenKind::Runtime)).await.unwrap();
    let second = tokens.rotate(&first.token().id()).await.unwrap();
    let other = tokens.issue(new(TokenKind::Runtime)).await.unwrap();
    assert!(tokens.issue(new(TokenKind::Grant)).await.is_err());
    clock.advance(Duration::from_secs(60));
    assert!(!check(first.token().expose()).await, "reused");
    assert!(check(second.token().expose()).await);
    assert!(!check("hunter2").await);
    let wrong = other.token().expose().as_bytes();
    assert!(tokens.verify(TokenKind::Grant, wrong).await.is_err());

    assert!(tokens.revoke(&other.token().id()).await.unwrap());
    assert!(!check(other.token().expose()).await);
    assert!(tokens.rotate(&other.token().id()).await.is_err());
    clock.advance(Duration::from_secs(24 * 3600));
    assert!(!check(second.token().expose()).await, "expired");
}

/// What operators raise an alarm by.
#[test]
fn the_lag_is_the_age_of_the_last_good_news_and_never_above_the_bound() {
    let clock = ManualClock::new();
    let store = CachedStore::builder()
        .with_revocation_bound(Duration::from_secs(2))
        .with_degraded_age(Duration::from_millis(300))
        .with_clock(clock.clone())
        .build(MemoryStore::new(1).unwrap())
        .unwrap();
    let lag = || {
        (
            store.stats().is_live,
            store.stats().revocation_lag.as_millis(),
        )
    };
    assert_eq!(lag(), (false, 300), "nobody has said anything yet");

    let news = store.invalidator();
    news.confirm(news.now());
    assert_eq!(lag(), (true, 0));
    clock.advance(Duration::from_millis(1999));
    assert_eq!(lag(), (true, 1999));
    clock.advance(Duration::from_millis(1));
    assert_eq!(lag(), (false, 300));
    news.confirm(news.now());
    news.lost();
    assert_eq!(lag(), (false, 300));

    let told = Told::default();
    metrics::with_local_recorder(&told, || store.stats().record("a"));
    let told = told.all();
    for expected in [
        ("tower_plugin_auth_cache_live store=a", 0.0),
        ("tower_plugin_auth_cache_flushes_total store=a", 1.0),
        ("tower_plugin_auth_revocation_bound_seconds store=a", 2.0),
        ("tower_plugin_auth_revocation_lag_seconds store=a", 0.3),
    ] {
        let (name, value) = expected;
        assert!(told.contains(&(name.to_owned(), value)), "{told:?}");
    }
}

/// Who waits for a store is told apart from who does not, and who gives up counts as well.
#[test]
fn a_check_that_waits_is_timed_however_it_ends() {
    let told = Told::default();
    let clock = ManualClock::new();
    metrics::with_local_recorder(&told, || {
        let store = Held::default();
        let keys = KeyRing::random(&SystemRng).unwrap();
        let tokens = Tokens::builder(store.clone(), keys).with_clock(clock.clone());
        let tokens = tokens.build().unwrap();
        let new = NewToken::for_principal(TokenKind::Runtime, Principal::new("plugin", "cache"));
        let issued = tokens.issue(new).now_or_never().unwrap().unwrap();
        let text = issued.token().expose().as_bytes();
        // What no store is asked about has nothing to wait for.
        let garbage = tokens.verify(TokenKind::Runtime, b"hunter2");
        assert!(matches!(garbage, Answer::Ready(Err(_))));

        let wait = |millis, answer: fn(Found) -> Found| {
            let Answer::Pending(mut verifying) = tokens.verify(TokenKind::Runtime, text) else {
                panic!("it has to wait");
            };
            let mut cx = Context::from_waker(Waker::noop());
            assert!(verifying.poll_unpin(&mut cx).is_pending());
            clock.advance(Duration::from_millis(millis));
            store.0.lock().unwrap().answer = Some(answer);
            let verified = verifying.now_or_never().unwrap();
            store.0.lock().unwrap().answer = None;
            verified
        };
        assert!(wait(1, |found| found).is_ok());
        assert!(wait(2, |found| found).is_ok());
        let unknown = wait(10, |_| Ok(None));
        assert!(matches!(unknown, Err(VerifyError::Invalid(_))));
        let down = wait(100, |_| Err(StoreError::unavailable("down")));
        assert!(matches!(down, Err(VerifyError::Unavailable(_))));

        let given_up = tokens.verify(TokenKind::Runtime, text);
        clock.advance(Duration::from_secs(7));
        drop(given_up);
    });
    let waits: Vec<_> = told
        .all()
        .into_iter()
        .filter_map(|(name, sum)| {
            let outcome = name.strip_prefix("tower_plugin_auth_check_wait_seconds outcome=")?;
            Some(format!("{outcome} {} ms", (sum * 1000.0).round()))
        })
        .collect();
    assert_eq!(
        waits,
        [
            "abandoned 7000 ms",
            "accepted 3 ms",
            "refused 10 ms",
            "unavailable 100 ms"
        ]
    );
}

/// A store whose lookups wait until they are told how to answer.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Hold>>);

struct Hold {
    records: Arc<MemoryStore>,
    answer: Option<fn(Found) -> Found>,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            records: Arc::new(MemoryStore::new(10).unwrap()),
            answer: None,
        }
    }
}

impl Held {
    fn records(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0.lock().unwrap().records)
    }
}

impl TokenStore for Held {
    type Lookup = BoxLookup;

    fn get(&self, id: &TokenId) -> Answer<Found, BoxLookup> {
        let (hold, id) = (Arc::clone(&self.0), *id);
        let waiting: BoxLookup = Box::pin(std::future::poll_fn(move |_| {
            let hold = hold.lock().unwrap();
            match (hold.answer, hold.records.get(&id)) {
                (Some(answer), Answer::Ready(found)) => std::task::Poll::Ready(answer(found)),
                _ => std::task::Poll::Pending,
            }
        }));
        Answer::Pending(waiting)
    }

    async fn insert(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        self.records().insert(record, now).await
    }

    async fn update(&self, next: Record, now: SystemTime) -> Result<bool, StoreError> {
        self.records().update(next, now).await
    }

    async fn take(&self, id: &TokenId) -> Found {
        self.records().take(id).await
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        self.records().revoke(revocation).await
    }

    async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        self.records().list(list).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.records().sweep(now).await
    }
}
