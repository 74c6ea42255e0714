use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, FakeRelativeClock};
use governor::{NotUntil, RateLimiter};
use proptest::prelude::*;

use super::*;

#[test]
fn a_burst_is_admitted_at_once_and_then_one_each_interval() {
    let quota = Gcra::new(100, 5).unwrap();
    let mut key = Key::new(quota);
    assert_eq!(key.spend(1_000, 1, 20), 5);
    assert_eq!(key.spend(1_099, 1, 20), 0);
    assert_eq!(key.spend(1_100, 1, 20), 1);
    assert_eq!(key.spend(1_350, 1, 20), 2);
}

#[test]
fn a_denial_debits_nothing() {
    let quota = Gcra::new(100, 5).unwrap();
    let Verdict::Allow { tat, .. } = quota.decide(0, 1_000, 3) else {
        panic!()
    };
    let denied = quota.decide(tat, 1_000, 3);
    assert_eq!(
        denied,
        Verdict::Deny {
            tat,
            retry_after: 100
        }
    );
    assert!(matches!(quota.decide(tat, 1_000, 2), Verdict::Allow { .. }));
}

#[test]
fn a_cost_above_the_burst_can_never_succeed() {
    let quota = Gcra::new(u64::MAX >> 3, 1).unwrap();
    for cost in [2, u32::MAX] {
        assert_eq!(quota.decide(0, 0, cost), Verdict::CostExceedsBurst);
    }
}

#[test]
fn a_quota_change_applies_to_the_same_debt_and_never_underflows() {
    const T: u64 = Gcra::SKEW;
    let (wide, narrow) = (Gcra::new(T, 100).unwrap(), Gcra::new(T, 3).unwrap());
    let now = 1_000 * T;
    let mut key = Key::new(wide);
    assert_eq!(key.spend(now, 100, 1), 1);
    key.quota = narrow;
    // At worst an empty bucket: 97 units too many are forgiven, none is minted.
    assert_eq!(key.spend(now, 1, 9), 0);
    assert_eq!(key.spend(now + T, 1, 9), 1);
    key.quota = wide;
    assert_eq!(key.spend(now + T, 1, 200), 97);
}

#[test]
fn a_jump_back_mints_nothing_and_is_felt_for_one_drain_time() {
    let quota = Gcra::new(100, 5).unwrap();
    let mut key = Key::new(quota);
    assert_eq!(key.spend(10 * Gcra::SKEW, 1, 9), 5);
    // The clock goes back by almost everything.
    assert_eq!(key.spend(10, 1, 9), 0);
    assert_eq!(key.spend(10 + 99, 1, 9), 0);
    assert_eq!(key.spend(10 + quota.capacity(), 1, 9), 5);
}

/// A thread that read the clock and was then kept from deciding for a while must not hand out what
/// would have come back in that while.
#[test]
fn a_late_reading_of_the_clock_mints_nothing() {
    let quota = Gcra::new(1_000_000, 1_000).unwrap();
    let now = 10_000_000_000;
    let mut key = Key::new(quota);
    assert_eq!(key.spend(now, 1_000, 1), 1);
    for late in [1, 5_000_000, Gcra::SKEW] {
        assert_eq!(key.spend(now - late, 1, 1), 0);
        assert_eq!(key.spend(now, 1, 1), 0, "{late} ns late");
        key.tat = quota.charge(key.tat, now - late, 1);
        assert_eq!(key.spend(now, 1, 1), 0, "charged {late} ns late");
    }
}

#[test]
fn the_numbers_for_headers_agree_with_the_decision() {
    let quota = Gcra::new(100, 5).unwrap();
    let cases = [
        (0, 5, 0),
        (1, 4, 1),
        (100, 4, 100),
        (101, 3, 1),
        (500, 0, 100),
    ];
    for (debt, remaining, next) in cases {
        assert_eq!(quota.remaining(debt), remaining, "debt {debt}");
        assert_eq!(quota.next_unit(debt), next, "debt {debt}");
    }
}

#[test]
fn who_may_wait_is_served_in_turn_and_not_before_the_quota_allows() {
    let quota = Gcra::new(100, 2).unwrap().with_max_wait(250);
    let (mut tat, mut waits) = (0, Vec::new());
    for _ in 0..6 {
        match quota.decide(tat, 1_000, 1) {
            Verdict::Allow { tat: next, wait } => {
                waits.push(wait);
                tat = next;
            }
            Verdict::Deny { retry_after, .. } => assert_eq!(retry_after, 50),
            Verdict::CostExceedsBurst => panic!(),
        }
    }
    assert_eq!(waits, [0, 0, 100, 200]);
}

#[test]
fn what_is_charged_afterwards_is_owed_up_to_the_capacity() {
    let quota = Gcra::new(100, 3).unwrap();
    let mut tat = 0;
    for _ in 0..9 {
        tat = quota.charge(tat, 1_000, 1);
    }
    assert_eq!(quota.debt(tat, 1_000), quota.capacity());
    assert!(matches!(quota.decide(tat, 1_100, 1), Verdict::Allow { .. }));
    assert_eq!(quota.charge(0, u64::MAX, u32::MAX), u64::MAX);
}

#[test]
fn what_cannot_work_is_not_built() {
    for (interval, burst) in [(0, 1), (1, 0), (u64::MAX, 1), (1 << 31, u32::MAX)] {
        assert_eq!(Gcra::new(interval, burst), None, "{interval} {burst}");
    }
    assert!(Gcra::new(Gcra::MAX_CAPACITY, 1).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(2_000)))]

    /// Promise 1, for every window between two admissions.
    #[test]
    fn no_window_admits_more_than_burst_and_rate(
        interval in 1_u64..1_000,
        burst in 1_u32..20,
        steps in prop::collection::vec((0_u64..3_000, 1_u32..6), 1..120),
    ) {
        let quota = Gcra::new(interval, burst).unwrap();
        let (mut tat, mut now, mut admitted) = (0, 1, Vec::new());
        for (pause, cost) in steps {
            now += pause;
            if let Verdict::Allow { tat: next, .. } = quota.decide(tat, now, cost) {
                tat = next;
                admitted.push((now, u64::from(cost)));
            }
        }
        assert_window_bound(quota, burst, &admitted)?;
    }

    /// Also for requests that wait: what counts is when they go on.
    #[test]
    fn no_window_lets_more_go_on_than_burst_and_rate(
        interval in 1_u64..100,
        burst in 1_u32..10,
        max_wait in 0_u64..2_000,
        steps in prop::collection::vec((0_u64..300, 1_u32..6), 1..120),
    ) {
        let quota = Gcra::new(interval, burst).unwrap().with_max_wait(max_wait);
        let (mut tat, mut now, mut going_on) = (0, 1, Vec::new());
        for (pause, cost) in steps {
            now += pause;
            if let Verdict::Allow { tat: next, wait } = quota.decide(tat, now, cost) {
                prop_assert!(wait <= max_wait);
                tat = next;
                going_on.push((now + wait, u64::from(cost)));
            }
        }
        prop_assert!(going_on.is_sorted_by_key(|(at, _)| *at) , "first come, first served");
        assert_window_bound(quota, burst, &going_on)?;
    }

    /// A refunded cost counts as never admitted, whenever the refund comes.
    #[test]
    fn refunds_never_break_the_window_bound(
        interval in 1_u64..50,
        burst in 1_u32..10,
        steps in prop::collection::vec((0_u64..150, 1_u32..6, 0_usize..6), 1..80),
    ) {
        let quota = Gcra::new(interval, burst).unwrap();
        let (mut tat, mut now) = (0, 1);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (pause, cost, action) in steps {
            now += pause;
            if action == 0 && !admitted.is_empty() {
                let (at, cost) = admitted.remove(admitted.len() / 2);
                tat = quota.refund(tat, now, u32::try_from(cost).unwrap(), at);
            } else if let Verdict::Allow { tat: next, .. } = quota.decide(tat, now, cost) {
                tat = next;
                admitted.push((now, u64::from(cost)));
            }
        }
        assert_window_bound(quota, burst, &admitted)?;
    }

    /// governor's own best property: denied at every step before the promised time, admitted at it.
    #[test]
    fn what_is_denied_is_admitted_exactly_when_promised(
        interval in 1_u64..1_000,
        burst in 1_u32..20,
        spent in 0_u32..20,
        cost in 1_u32..20,
        step in 1_u64..7,
    ) {
        let quota = Gcra::new(interval, burst).unwrap();
        let now = 5_000;
        let mut key = Key::new(quota);
        key.spend(now, 1, spent);
        if let Verdict::Deny { retry_after, tat } = quota.decide(key.tat, now, cost) {
            prop_assert!(retry_after > 0);
            for early in (1..=retry_after).rev().step_by(usize::try_from(step).unwrap()) {
                let at = now + retry_after - early;
                let denied = matches!(quota.decide(tat, at, cost), Verdict::Deny { .. });
                prop_assert!(denied, "{} ns early", early);
            }
            let at_last = matches!(quota.decide(tat, now + retry_after, cost), Verdict::Allow { .. });
            prop_assert!(at_last);
        }
    }

    /// Readings that come late admit once what would come back while they are late, and no more,
    /// however many they are.
    #[test]
    fn late_readings_never_break_the_window_bound(
        interval in 1_u64..1_000,
        burst in 1_u32..20,
        steps in prop::collection::vec((0_u64..3_000, 0_u64..LATEST, 1_u32..6), 1..120),
    ) {
        let quota = Gcra::new(interval, burst).unwrap();
        let (mut tat, mut now, mut admitted) = (0, 100_000, Vec::new());
        for (pause, late, cost) in steps {
            now += pause;
            match quota.decide(tat, now - late, cost) {
                Verdict::Allow { tat: next, .. } => {
                    tat = next;
                    admitted.push((now, u64::from(cost)));
                }
                Verdict::Deny { tat: next, .. } => tat = next,
                Verdict::CostExceedsBurst => {}
            }
        }
        for (first, &(from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for &(at, cost) in &admitted[first..] {
                sum += cost;
                prop_assert!(sum * interval <= quota.capacity() + (at - from) + LATEST);
            }
        }
    }

    /// Clock steps back and forth never panic, and a step back never admits what standing still
    /// would not have.
    #[test]
    fn any_state_at_any_time_is_decided(
        interval in 1_u64..u64::MAX,
        burst in 1_u32..,
        tat in any::<u64>(),
        now in any::<u64>(),
        cost in 1_u32..,
        back in any::<u64>(),
    ) {
        let Some(quota) = Gcra::new(interval, burst) else { return Ok(()) };
        let admits = |now| matches!(quota.decide(tat, now, cost), Verdict::Allow { .. });
        prop_assert!(admits(now) || !admits(now.saturating_sub(back)));
        let refunded = quota.refund(tat, now, cost, back);
        prop_assert!(quota.debt(refunded, now) <= quota.debt(tat, now));
        prop_assert!(quota.remaining(quota.debt(tat, now)) <= burst);
    }

    /// Equal to governor, decision by decision, where its arithmetic is exact too.
    #[test]
    fn agrees_with_governor(
        exact in prop::sample::select(vec![1_u32, 2, 5, 10, 64, 1_000, 1_000_000]),
        burst in 1_u32..50,
        steps in prop::collection::vec((0_u64..2_000_000_000, 1_u32..60), 1..100),
    ) {
        let clock = FakeRelativeClock::default();
        let limit = governor::Quota::per_second(NonZeroU32::new(exact).unwrap())
            .allow_burst(NonZeroU32::new(burst).unwrap());
        let oracle = RateLimiter::direct_with_clock(limit, clock.clone());
        let quota = Gcra::new(1_000_000_000 / u64::from(exact), burst).unwrap();
        let (mut tat, mut now) = (0, 1);
        for (pause, cost) in steps {
            now += pause;
            clock.advance(Duration::from_nanos(pause));
            let theirs = oracle.check_n(NonZeroU32::new(cost).unwrap());
            match (quota.decide(tat, now, cost), theirs) {
                (Verdict::Allow { tat: next, .. }, Ok(Ok(()))) => tat = next,
                (Verdict::Deny { retry_after, .. }, Ok(Err(not_until))) => {
                    let wait = NotUntil::wait_time_from(&not_until, clock.now());
                    prop_assert_eq!(u128::from(retry_after), wait.as_nanos());
                }
                (Verdict::CostExceedsBurst, Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} but governor says {:?}", ours, theirs),
            }
        }
    }
}

/// Nanoseconds a reading of the clock may be late in the test above.
const LATEST: u64 = 2_000;

fn assert_window_bound(
    quota: Gcra,
    burst: u32,
    admitted: &[(u64, u64)],
) -> Result<(), TestCaseError> {
    for (first, &(from, _)) in admitted.iter().enumerate() {
        let mut sum = 0;
        for &(at, cost) in &admitted[first..] {
            sum += cost;
            // In units of time, so that nothing is rounded: cost * interval <= capacity + window.
            prop_assert!(
                sum * quota.interval() <= quota.capacity() + (at - from),
                "{} admitted in {} ns under a burst of {}",
                sum,
                at - from,
                burst
            );
        }
    }
    Ok(())
}

struct Key {
    quota: Gcra,
    tat: u64,
}

impl Key {
    fn new(quota: Gcra) -> Self {
        Self { quota, tat: 0 }
    }

    /// How many of `times` requests of one cost are admitted at `now`.
    fn spend(&mut self, now: u64, cost: u32, times: u32) -> u32 {
        let mut admitted = 0;
        for _ in 0..times {
            self.tat = match self.quota.decide(self.tat, now, cost) {
                Verdict::Allow { tat, .. } => {
                    admitted += 1;
                    tat
                }
                Verdict::Deny { tat, .. } => tat,
                Verdict::CostExceedsBurst => self.tat,
            };
        }
        admitted
    }
}
