use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::UNIX_EPOCH,
};

use parking_lot::Mutex;
use tower_plugin_core::{ManualClock, Principal};

use super::*;
use crate::{
    random::SystemRng,
    store::{BoxLookup, MemoryStore},
    token::{KeyRing, Rng, RngError, TokenKind, mint},
};

const MILLI: Duration = Duration::from_millis(1);

/// Answers lookups when it is told to, with what was there when they were begun.
#[derive(Clone)]
struct Distant {
    kept: Arc<MemoryStore>,
    on_the_way: Arc<Mutex<VecDeque<Letter>>>,
}

type Letter = Arc<Mutex<Option<Found>>>;

impl Distant {
    fn new() -> Self {
        Self {
            kept: Arc::new(MemoryStore::new(100).unwrap()),
            on_the_way: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.on_the_way.lock().len()
    }

    /// Lets the oldest lookup have its answer.
    fn answer(&self) {
        let letter = self.on_the_way.lock().pop_front().unwrap();
        *letter.lock() = Some(self.found());
    }

    fn found(&self) -> Found {
        match self.kept.get(&ID) {
            Answer::Ready(found) => found,
            Answer::Pending(_) => panic!("the memory store answers at once"),
        }
    }
}

impl TokenStore for Distant {
    type Lookup = BoxLookup;

    fn get(&self, id: &TokenId) -> Answer<Found, BoxLookup> {
        assert_eq!(*id, ID);
        let (letter, then) = (Arc::new(Mutex::new(None)), self.found());
        self.on_the_way.lock().push_back(Arc::clone(&letter));
        Answer::Pending(Box::pin(std::future::poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            match letter.lock().take() {
                Some(Ok(_)) => Poll::Ready(then.clone()),
                Some(Err(error)) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            }
        })))
    }

    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        self.kept.insert(record, now)
    }

    fn update(
        &self,
        next: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        self.kept.update(next, now)
    }

    fn take(&self, id: &TokenId) -> impl Future<Output = Found> + Send {
        self.kept.take(id)
    }

    fn revoke(
        &self,
        revocation: Revocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.kept.revoke(revocation)
    }

    fn list(
        &self,
        list: &List<'_>,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, StoreError>> + Send {
        self.kept.list(list)
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.kept.sweep(now)
    }
}

const ID: TokenId = TokenId::from_bytes([7; 16]);

fn record() -> Record {
    struct Sevens;
    impl Rng for Sevens {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
            buffer.fill(7);
            Ok(())
        }
    }
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(TokenKind::Runtime, &keys, &Sevens).unwrap();
    let expires_at = UNIX_EPOCH + Duration::from_secs(60);
    Record::new(&minted, Principal::new("a", "b"), UNIX_EPOCH, expires_at)
}

/// A cache in front of a distant store that knows the record, and a clock.
fn rig(configure: impl FnOnce(CachedStoreBuilder) -> CachedStoreBuilder) -> Rig {
    let (distant, clock) = (Distant::new(), ManualClock::new());
    now(distant.insert(record(), UNIX_EPOCH)).unwrap();
    let settings = configure(CachedStore::builder().with_clock(clock.clone()));
    let cached = settings.build(distant.clone()).unwrap();
    Rig {
        cached,
        distant,
        clock,
    }
}

struct Rig {
    cached: CachedStore<Distant>,
    distant: Distant,
    clock: ManualClock,
}

impl Rig {
    /// Whether there is a record, asked of the distant store if need be.
    fn ask(&self) -> bool {
        match self.cached.get(&ID) {
            Answer::Ready(found) => found.unwrap().is_some(),
            Answer::Pending(lookup) => {
                self.distant.answer();
                now(lookup).unwrap().is_some()
            }
        }
    }

    /// What is remembered.
    fn remembered(&self) -> Option<bool> {
        self.cached.cache.get(&ID).map(|record| record.is_some())
    }

    fn confirm(&self) {
        let invalidator = self.cached.invalidator();
        invalidator.confirm(invalidator.now());
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it is to be ready"),
    }
}

#[test]
fn without_news_nothing_is_older_than_the_degraded_age() {
    let rig = rig(|settings| settings.with_degraded_age(100 * MILLI));
    assert!(!rig.cached.is_live());
    assert!(rig.ask());
    rig.clock.advance(99 * MILLI);
    assert_eq!(rig.remembered(), Some(true));
    rig.clock.advance(MILLI);
    assert_eq!(rig.remembered(), None);

    let strict = self::rig(|settings| settings.with_degraded_age(Duration::ZERO));
    assert!(strict.ask());
    assert_eq!(strict.remembered(), None);
}

#[test]
fn what_was_confirmed_is_served_for_the_bound_and_no_longer() {
    let rig = rig(|settings| {
        settings
            .with_degraded_age(Duration::ZERO)
            .with_revocation_bound(1000 * MILLI)
    });
    let as_of = rig.cached.invalidator().now();
    rig.clock.advance(300 * MILLI);
    rig.cached.invalidator().confirm(as_of);
    assert!(rig.ask());
    rig.clock.advance(699 * MILLI);
    assert!(rig.cached.is_live());
    assert_eq!(rig.remembered(), Some(true));
    rig.clock.advance(MILLI);
    assert_eq!(rig.remembered(), None, "a second after the news were in");
    assert!(!rig.cached.is_live());

    // Whatever was in time before is again when it is confirmed, and an old confirmation takes
    // nothing back.
    rig.confirm();
    assert_eq!(rig.remembered(), Some(true));
    rig.cached.invalidator().confirm(as_of);
    assert_eq!(rig.remembered(), Some(true));
}

#[test]
fn nothing_is_served_beyond_its_age_however_well_confirmed() {
    let rig = rig(|settings| settings.with_max_age(5000 * MILLI));
    rig.confirm();
    assert!(rig.ask());
    for _ in 0..4 {
        rig.clock.advance(1000 * MILLI);
        rig.confirm();
        assert_eq!(rig.remembered(), Some(true));
    }
    rig.clock.advance(1000 * MILLI);
    rig.confirm();
    assert_eq!(rig.remembered(), None);
}

#[test]
fn that_there_is_none_is_remembered_for_a_short_while() {
    let rig = rig(|settings| settings.with_negative_age(1000 * MILLI));
    assert_eq!(
        now(rig.distant.revoke(Revocation::Tokens(&[ID]))).unwrap(),
        1
    );
    rig.confirm();
    assert!(!rig.ask());
    rig.clock.advance(999 * MILLI);
    rig.confirm();
    assert_eq!(rig.remembered(), Some(false));
    rig.clock.advance(MILLI);
    rig.confirm();
    assert_eq!(rig.remembered(), None);

    assert!(!rig.ask());
    now(rig.cached.insert(record(), UNIX_EPOCH)).unwrap();
    assert!(rig.ask(), "inserted here");
}

#[test]
fn an_answer_that_was_overtaken_by_the_news_is_not_remembered() {
    for flushed in [false, true] {
        let rig = rig(|settings| settings);
        rig.confirm();
        let Answer::Pending(lookup) = rig.cached.get(&ID) else {
            panic!("nothing is remembered yet");
        };
        // Revoked, and told, while the answer is on its way.
        assert_eq!(
            now(rig.distant.revoke(Revocation::Tokens(&[ID]))).unwrap(),
            1
        );
        match flushed {
            true => rig.cached.invalidator().flush(),
            false => rig.cached.invalidator().forget(&ID),
        }
        rig.distant.answer();
        assert!(now(lookup).unwrap().is_some(), "who asked before");
        assert_eq!(rig.remembered(), None);
        assert!(!rig.ask());
    }
}

#[test]
fn who_asks_after_the_news_does_not_join_who_asked_before() {
    for flushed in [false, true] {
        let rig = rig(|settings| settings);
        rig.confirm();
        let Answer::Pending(before) = rig.cached.get(&ID) else {
            panic!("nothing is remembered yet");
        };
        assert_eq!(
            now(rig.distant.revoke(Revocation::Tokens(&[ID]))).unwrap(),
            1
        );
        match flushed {
            true => rig.cached.invalidator().flush(),
            false => rig.cached.invalidator().forget(&ID),
        }
        let Answer::Pending(after) = rig.cached.get(&ID) else {
            panic!("nothing is remembered yet");
        };
        assert_eq!(rig.distant.asked(), 2);
        rig.distant.answer();
        rig.distant.answer();
        assert!(now(before).unwrap().is_some());
        assert!(now(after).unwrap().is_none());
        assert_eq!(rig.remembered(), Some(false));
    }
}

#[test]
fn lookups_of_one_token_become_one() {
    let rig = rig(|settings| settings);
    let mut waiting: Vec<_> = (0..10)
        .map(|_| match rig.cached.get(&ID) {
            Answer::Pending(lookup) => lookup,
            Answer::Ready(_) => panic!("nothing is remembered yet"),
        })
        .collect();
    assert_eq!(rig.distant.asked(), 1);

    // Who began it loses interest: the others do not.
    drop(waiting.remove(0));
    rig.distant.answer();
    for lookup in waiting {
        assert!(now(lookup).unwrap().is_some());
    }
    let shard = rig.cached.cache.shard(&ID).lock();
    assert!(shard.flights.is_empty());
}

#[test]
fn a_lookup_nobody_waits_for_is_over() {
    let rig = rig(|settings| settings);
    drop(rig.cached.get(&ID));
    assert!(rig.cached.cache.shard(&ID).lock().flights.is_empty());
    assert!(matches!(rig.cached.get(&ID), Answer::Pending(_)));
    assert_eq!(rig.distant.asked(), 2);
}

#[test]
fn a_lookup_polled_twice_does_not_panic() {
    let rig = rig(|settings| settings);
    let Answer::Pending(mut lookup) = rig.cached.get(&ID) else {
        panic!("nothing is remembered yet");
    };
    rig.distant.answer();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut lookup).poll(&mut cx).is_ready());
    assert!(Pin::new(&mut lookup).poll(&mut cx).is_pending());
}

#[test]
fn an_error_is_not_remembered() {
    let rig = rig(|settings| settings);
    let Answer::Pending(lookup) = rig.cached.get(&ID) else {
        panic!("nothing is remembered yet");
    };
    let letter = rig.distant.on_the_way.lock().pop_front().unwrap();
    *letter.lock() = Some(Err(StoreError::unavailable("down")));
    assert!(now(lookup).is_err());
    assert_eq!(rig.remembered(), None);
    assert!(rig.ask());
}

#[test]
fn what_is_revoked_here_is_gone_when_the_call_returns() {
    let revocations = [
        Revocation::Tokens(&[ID]),
        Revocation::Family(ID),
        Revocation::Subject {
            kind: "a",
            subject: "b",
        },
        Revocation::BegunBefore(UNIX_EPOCH + Duration::from_secs(1)),
    ];
    for revocation in revocations {
        let rig = rig(|settings| settings);
        rig.confirm();
        assert!(rig.ask());
        assert_eq!(rig.remembered(), Some(true));
        assert_eq!(now(rig.cached.revoke(revocation)).unwrap(), 1);
        assert_eq!(rig.remembered(), None, "{revocation:?}");
        assert!(!rig.ask());
    }
}

#[test]
fn what_changes_here_is_read_anew() {
    let rig = rig(|settings| settings);
    rig.confirm();
    assert!(rig.ask());
    let next = record().superseded(ID, UNIX_EPOCH);
    assert!(now(rig.cached.update(next, UNIX_EPOCH)).unwrap());
    assert_eq!(rig.remembered(), None);
    assert!(rig.ask());
    assert!(now(rig.cached.take(&ID)).unwrap().is_some());
    assert_eq!(rig.remembered(), None);
}

#[test]
fn losing_touch_forgets_everything() {
    let rig = rig(|settings| settings);
    rig.confirm();
    assert!(rig.ask());
    rig.cached.invalidator().lost();
    assert_eq!(rig.remembered(), None);
    assert!(!rig.cached.is_live());
}

#[test]
fn unreasonable_settings_are_refused() {
    type Setting = fn(CachedStoreBuilder) -> CachedStoreBuilder;
    let cases: [(&str, Setting); 7] = [
        ("capacity", |b| b.with_capacity(0)),
        ("revocation_bound", |b| b.with_revocation_bound(99 * MILLI)),
        ("revocation_bound", |b| {
            b.with_revocation_bound(60_001 * MILLI)
        }),
        ("degraded_age", |b| b.with_degraded_age(2001 * MILLI)),
        ("max_age", |b| b.with_max_age(Duration::ZERO)),
        ("max_age", |b| b.with_max_age(Duration::from_secs(3601))),
        ("negative_age", |b| b.with_negative_age(60_001 * MILLI)),
    ];
    for (field, setting) in cases {
        let built = setting(CachedStore::builder()).build(Distant::new());
        assert_eq!(built.err().map(|error| error.field()), Some(field));
    }
}
