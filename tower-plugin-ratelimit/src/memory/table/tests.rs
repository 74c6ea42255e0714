use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::{Cost, Verdict, gcra};

#[test]
fn all_quotas_are_debited_or_none() {
    let table = Table::new(1, OnFull::Forget);
    let policy = policy(&["5/s", "8/h"]);
    let mut admitted = Vec::new();
    for second in 1..=4 {
        let now = second * SECOND;
        admitted.push(
            (0..9)
                .filter(|_| allows(&table, 7, &policy, now, 1))
                .count(),
        );
    }
    // The hour's quota ends it; had its denials debited the second's, or the other way round, the
    // numbers would differ.
    assert_eq!(admitted, [5, 3, 0, 0]);
    let decision = check(&table, 7, &policy, 4 * SECOND, 1);
    assert_eq!(decision.quota_index(), 1);
    assert_eq!(decision.remaining(), 0);
    // The second's quota is whole: nothing was debited by all those refusals.
    let only_fast = Policy::new("p", [policy.quotas()[0]]).unwrap();
    assert_eq!(check(&table, 7, &only_fast, 4 * SECOND, 1).remaining(), 4);
}

#[test]
fn the_tightest_quota_speaks() {
    let table = Table::new(1, OnFull::Forget);
    let policy = policy(&["2/s", "100/h"]);
    let first = check(&table, 1, &policy, SECOND, 1);
    assert_eq!((first.quota_index(), first.remaining()), (0, 1));
    let never = check(&table, 1, &policy, SECOND, 50);
    assert_eq!(never.verdict(), Verdict::CostExceedsBurst);
    assert_eq!(never.retry_after(), None);
}

#[test]
fn a_full_bucket_forgets_whoever_owes_least() {
    let table = Table::new(1, OnFull::Forget);
    let policy = policy(&["10/s"]);
    // Key 1 is at its limit, keys 2 to 5 owe from one to four units.
    for (key, cost) in [(1, 10), (2, 1), (3, 2), (4, 3), (5, 4)] {
        assert!(allows(&table, key, &policy, SECOND, cost));
    }
    assert_eq!((table.indebted(SECOND), table.forgotten()), (5, 0));

    for flood in 100..200 {
        assert!(allows(&table, flood, &policy, SECOND, 1));
    }
    assert_eq!(table.forgotten(), 100);
    assert!(!allows(&table, 1, &policy, SECOND, 1), "the debtor is kept");
    assert_eq!(check(&table, 5, &policy, SECOND, 1).remaining(), 5);
    assert_eq!(
        check(&table, 2, &policy, SECOND, 1).remaining(),
        9,
        "forgotten"
    );
}

/// Poisson: with 5/3 keys to a bucket of five, 0.6 % of the keys are one too many.
#[test]
fn at_the_recommended_size_one_key_in_200_is_forgotten() {
    const KEYS: u64 = 200_000;
    let table = Table::new(3 * KEYS as usize, OnFull::Forget);
    let policy = policy(&["10/s"]);
    for key in 1..=KEYS {
        // splitmix64's finish: a hash as good as any.
        let mut hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        assert!(allows(&table, hash ^ (hash >> 31), &policy, SECOND, 1));
    }
    let per_mille = table.forgotten() * 1000 / KEYS;
    assert!((3..=8).contains(&per_mille), "{per_mille} per mille");
}

#[test]
fn a_table_that_denies_forgets_nobody() {
    let table = Table::new(1, OnFull::Deny);
    let policy = policy(&["10/s"]);
    for key in 1..=5 {
        assert!(allows(&table, key, &policy, SECOND, 1));
    }
    let refused = check(&table, 6, &policy, SECOND, 1);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!((refused.remaining(), table.forgotten()), (0, 0));
    assert!(allows(&table, 6, &policy, SECOND + SECOND / 10, 1));
}

#[test]
fn f33_being_idle_refills_no_spent_quota_early() {
    let table = Table::new(1, OnFull::Forget);
    let policy = policy(&["1/d:3"]);
    assert!(allows(&table, 1, &policy, SECOND, 3));
    let day = 86_400 * SECOND;
    for idle in [600 * SECOND, day - 1] {
        assert!(!allows(&table, 1, &policy, SECOND + idle, 1));
    }
    assert!(allows(&table, 1, &policy, SECOND + day, 1));
}

#[test]
fn a_clock_that_goes_back_is_felt_for_one_drain_time() {
    let table = Table::new(1, OnFull::Forget);
    let policy = policy(&["10/s"]);
    assert!(allows(&table, 1, &policy, 1_000 * SECOND, 10));
    assert!(!allows(&table, 1, &policy, SECOND, 1), "mints nothing");
    assert!(allows(&table, 1, &policy, 2 * SECOND, 10));
}

/// The described limiter admitted up to 32 of 32 here.
#[test]
fn f32_f36_racing_decisions_on_one_key_never_over_admit() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 2_000;
    let table = Arc::new(Table::new(64, OnFull::Forget));
    let policy = policy(&["1/d:1"]);
    let barrier = Arc::new(Barrier::new(THREADS as usize));
    let admitted = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (table, policy) = (Arc::clone(&table), policy.clone());
            let (barrier, admitted) = (Arc::clone(&barrier), Arc::clone(&admitted));
            thread::spawn(move || {
                for round in 1..=ROUNDS {
                    barrier.wait();
                    // A day later the one unit is back, once.
                    if allows(&table, 42, &policy, round * 86_400 * SECOND, 1) {
                        admitted.fetch_add(1, Relaxed);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(admitted.load(Relaxed), ROUNDS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(500)))]

    /// The table is the engine, key by key, while it is not full.
    #[test]
    fn a_table_with_room_decides_as_the_engine_does(
        steps in prop::collection::vec((0_u64..3, 0_u64..400_000_000, 1_u32..4), 1..200),
    ) {
        let table = Table::new(10_000, OnFull::Deny);
        let policy = policy(&["5/s:7"]);
        let gcra = gcra_of(policy.quotas()[0]);
        let (mut tats, mut now) = ([0; 3], SECOND);
        for (key, pause, cost) in steps {
            now += pause;
            let hash = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let decision = check(&table, hash, &policy, now, cost);
            let tat = &mut tats[key as usize];
            match gcra.decide(*tat, now, cost) {
                gcra::Verdict::Allow { tat: next, .. } => {
                    prop_assert!(decision.is_allowed());
                    *tat = next;
                }
                gcra::Verdict::Deny { retry_after, .. } => {
                    let expected = Some(Duration::from_nanos(retry_after));
                    prop_assert_eq!(decision.retry_after(), expected);
                }
                gcra::Verdict::CostExceedsBurst => prop_assert!(false),
            }
            prop_assert_eq!(decision.remaining(), gcra.remaining(gcra.debt(*tat, now)));
        }
    }

    /// Several quotas at once never admit what one of them alone would not.
    #[test]
    fn a_policy_keeps_the_window_bound_of_each_of_its_quotas(
        steps in prop::collection::vec((0_u64..2_000_000_000, 1_u32..4), 1..200),
    ) {
        let table = Table::new(1, OnFull::Forget);
        let policy = policy(&["3/s:4", "20/10s:9", "30/m"]);
        let (mut now, mut admitted) = (SECOND, Vec::new());
        for (pause, cost) in steps {
            now += pause;
            if allows(&table, 1, &policy, now, cost) {
                admitted.push((now, u64::from(cost)));
            }
        }
        for quota in policy.quotas() {
            for (first, &(from, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for &(at, cost) in &admitted[first..] {
                    sum += cost;
                    let gcra = gcra_of(*quota);
                    prop_assert!(sum * gcra.interval() <= gcra.capacity() + (at - from));
                }
            }
        }
    }
}

fn allows(table: &Table, hash: u64, policy: &Policy, now: u64, cost: u32) -> bool {
    check(table, hash, policy, now, cost).is_allowed()
}

fn check(table: &Table, hash: u64, policy: &Policy, now: u64, cost: u32) -> Decision {
    let cost = Cost::new(cost).unwrap();
    table.apply(hash, policy, || at(now), Operation::Check(cost))
}

fn at(monotonic: u64) -> Now {
    Now { monotonic, wall: 0 }
}

fn gcra_of(quota: Quota) -> gcra::Gcra {
    match quota.rule() {
        Rule::Gcra(gcra) => gcra,
        other => panic!("{other:?}"),
    }
}

fn policy(quotas: &[&str]) -> Policy {
    Policy::new("p", quotas.iter().map(|quota| quota.parse().unwrap())).unwrap()
}

const SECOND: u64 = 1_000_000_000;
