//! governor's own limiters, run on our memory.
#![cfg(feature = "governor")]

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU32,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::FakeRelativeClock,
    middleware::NoOpMiddleware,
    state::{
        StateStore,
        keyed::{HashMapStateStore, ShrinkableKeyedStateStore},
    },
};
use proptest::prelude::*;
use tower_plugin_ratelimit::{GovernorStore, InvalidQuotaKind, Quota};

type On<S, K = u8> = RateLimiter<K, S, FakeRelativeClock, NoOpMiddleware<governor::nanos::Nanos>>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(500)))]

    /// Verdict by verdict, with what is promised to those refused.
    #[test]
    fn governor_decides_the_same_on_our_memory_and_on_its_own(
        quota in (1_u32..50, 1_u32..20),
        steps in prop::collection::vec((0_u8..8, 1_u32..6, 0_u64..200_000_000), 1..200),
    ) {
        let quota = governor::Quota::per_second(nonzero(quota.0)).allow_burst(nonzero(quota.1));
        let clock = FakeRelativeClock::default();
        let ours = On::new(quota, GovernorStore::new(500).unwrap(), clock.clone());
        let theirs = On::new(quota, HashMapStateStore::new(HashMap::new()), clock.clone());
        for (key, cells, pause) in steps {
            clock.advance(Duration::from_nanos(pause));
            prop_assert_eq!(ours.check_key(&key), theirs.check_key(&key));
            let cells = nonzero(cells);
            prop_assert_eq!(ours.check_key_n(&key, cells), theirs.check_key_n(&key, cells));
            prop_assert_eq!(ours.len(), theirs.len());
            if cells.get() == 5 {
                ours.retain_recent();
                theirs.retain_recent();
                prop_assert_eq!(ours.len(), theirs.len());
            }
        }
    }

    /// The same burst, and the same time for a unit to come back, to the nanosecond.
    #[test]
    fn a_quota_of_governors_is_the_same_quota_here(
        interval in prop_oneof![1_u64..100_000, 1_u64..10_000_000_000, 1_u64..20_000_000_000_000_000],
        burst in 1_u32..200,
    ) {
        let theirs = governor::Quota::with_period(Duration::from_nanos(interval)).unwrap();
        let ours = Quota::try_from(theirs.allow_burst(nonzero(burst))).unwrap();
        prop_assert_eq!(ours.burst(), burst);
        prop_assert_eq!(ours.refill(), Duration::from_nanos(interval * u64::from(burst)));
        prop_assert_eq!(ours.to_string().parse::<Quota>().unwrap(), ours);
    }
}

#[test]
fn a_quota_reads_as_people_say_it() {
    let per_second = |count| governor::Quota::per_second(nonzero(count));
    let every_675_ns = governor::Quota::with_period(Duration::from_nanos(675)).unwrap();
    let cases = [
        (per_second(10), "10/s"),
        (per_second(10).allow_burst(nonzero(20)), "10/s:20"),
        (per_second(1_000_000_000), "1000000000/s"),
        // Below a nanosecond, which governor takes for one.
        (per_second(u32::MAX), "1000000000/s:4294967295"),
        (governor::Quota::per_minute(nonzero(6)), "6/m"),
        (governor::Quota::per_hour(nonzero(5)), "5/h"),
        // A part of a day of which it holds more than can be counted.
        (every_675_ns, "1482/1000350ns:1"),
    ];
    for (theirs, text) in cases {
        assert_eq!(Quota::try_from(theirs).unwrap(), text.parse().unwrap());
    }
}

#[test]
fn a_quota_that_nothing_can_keep_is_refused() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let interval = |period| governor::Quota::with_period(period).unwrap();
    let refused = |theirs: governor::Quota| Quota::try_from(theirs).unwrap_err().kind();
    assert_eq!(refused(interval(days(367))), InvalidQuotaKind::Period);
    assert_eq!(refused(interval(Duration::MAX)), InvalidQuotaKind::Period);
    let spent_for_ages = interval(days(300)).allow_burst(nonzero(1000));
    assert_eq!(refused(spent_for_ages), InvalidQuotaKind::Burst);
}

#[test]
fn a_flood_of_keys_grows_nothing_and_washes_off_no_debt() {
    let clock = FakeRelativeClock::default();
    let quota = governor::Quota::per_second(nonzero(10));
    let store = GovernorStore::new(1_000).unwrap();
    let bytes = store.bytes();
    assert!(bytes <= 40 * 1_000, "{bytes}");
    let limiter = On::<_, u64>::new(quota, store, clock.clone());

    let spend = |key| limiter.check_key(&key).is_ok();
    assert_eq!((0..20).filter(|_| spend(0)).count(), 10);
    let memory = allocation_counter::measure(|| {
        for key in 1..=100_000 {
            assert!(spend(key));
        }
    });
    assert_eq!(memory.count_total, 0);
    assert!(!spend(0), "its own debt is kept");
    assert!(limiter.len() <= bytes / 8);
    clock.advance(Duration::from_millis(100));
    assert!(spend(0));
    assert_eq!(limiter.into_state_store().bytes(), bytes);
}

#[test]
fn racing_limiters_on_one_store_never_over_admit() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2_000;
    let clock = FakeRelativeClock::default();
    let quota = governor::Quota::per_hour(nonzero(1));
    let store = GovernorStore::<usize>::new(10 * ROUNDS).unwrap();
    let limiter = Arc::new(On::new(quota, store, clock));
    let admitted: Arc<[AtomicUsize]> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    let barrier = Arc::new(Barrier::new(THREADS));
    let threads = (0..THREADS).map(|_| {
        let (limiter, admitted) = (Arc::clone(&limiter), Arc::clone(&admitted));
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            for (key, admitted) in admitted.iter().enumerate() {
                barrier.wait();
                if limiter.check_key(&key).is_ok() {
                    admitted.fetch_add(1, Relaxed);
                }
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let seen: BTreeSet<_> = admitted.iter().map(|count| count.load(Relaxed)).collect();
    assert_eq!(seen, BTreeSet::from([1]));
}

/// governor's closure is foreign code: it must not run while a bucket is locked.
#[test]
fn a_closure_may_ask_the_store_it_is_called_from() {
    let store = GovernorStore::<u8>::new(1).unwrap();
    let ask = |key| store.measure_and_replace(&key, |tat| tat.map_or(Err(()), |tat| Ok(((), tat))));
    let put = |key, tat: u64| {
        store.measure_and_replace(&key, |_| {
            let _ = ask(key);
            Ok::<_, ()>(((), tat.into()))
        })
    };
    assert_eq!(ask(1), Err(()));
    put(1, 7).unwrap();
    assert_eq!(ask(1), Ok(()));
    assert_eq!(store.len(), 1);
}

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// Many more where `PROPTEST_CASES` says so.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(default, |cases| cases.parse().unwrap())
}
