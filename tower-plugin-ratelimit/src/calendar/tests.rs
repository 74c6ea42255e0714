use proptest::prelude::*;

use super::*;

#[test]
fn periods_end_where_the_calendar_says() {
    use CalendarPeriod::{Day, Hour, Minute, Month};
    let cases = [
        (Minute, 0, 60),
        (Minute, 59, 60),
        (Minute, 60, 120),
        (Hour, 3_599, 3_600),
        (Day, 86_399, 86_400),
        // 1970-01-31T23:59:59Z and the second after.
        (Month, 2_678_399, 2_678_400),
        (Month, 2_678_400, 5_097_600),
        // 2000-02-29 was, 2100-02-29 will not be.
        (Month, 951_782_400, 951_868_800),
        (Month, 4_107_456_000, 4_107_542_400),
        // December rolls over: 2026-12-15 to 2027-01-01.
        (Month, 1_797_292_800, 1_798_761_600),
    ];
    for (period, at, end) in cases {
        assert_eq!(period.end(at), end, "{period:?} at {at}");
    }
}

#[test]
fn a_period_sees_its_limit_and_the_next_starts_afresh() {
    let quota = Calendar::new(5, CalendarPeriod::Minute).unwrap();
    let (first, second) = (100 * SECOND, 160 * SECOND);
    let Verdict::Allow { state } = quota.decide(0, first, 4) else {
        panic!()
    };
    let Verdict::Deny { state } = quota.decide(state, first, 2) else {
        panic!()
    };
    assert_eq!(quota.used(state, first), 4, "a denial counts nothing");
    let Verdict::Allow { state } = quota.decide(state, first, 1) else {
        panic!()
    };
    assert!(matches!(
        quota.decide(state, first, 1),
        Verdict::Deny { .. }
    ));
    assert_eq!(quota.decide(state, first, 6), Verdict::CostExceedsLimit);
    let Verdict::Allow { state } = quota.decide(state, second, 1) else {
        panic!()
    };
    assert_eq!(quota.used(state, second), 1);
    assert_eq!(quota.used(quota.refund(state, second, 9), second), 0);
    assert_eq!(quota.used(quota.charge(state, second, 9), second), 10);
}

#[test]
fn a_corrected_wall_clock_mints_nothing() {
    for (period, correction) in [
        (CalendarPeriod::Minute, 20),
        (CalendarPeriod::Hour, 1_500),
        (CalendarPeriod::Day, 40_000),
        (CalendarPeriod::Month, 1_000_000),
    ] {
        let quota = Calendar::new(1, period).unwrap();
        let end = 50_000_000 * SECOND;
        let Verdict::Allow { state } = quota.decide(0, end, 1) else {
            panic!()
        };
        for end in [end - correction * SECOND, end + correction * SECOND] {
            let decision = quota.decide(state, end, 1);
            assert!(matches!(decision, Verdict::Deny { .. }), "{period:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_period_ends_after_now_and_within_its_length(now in 0_u64..253_402_300_800) {
        for (period, length) in [
            (CalendarPeriod::Minute, 60),
            (CalendarPeriod::Hour, 3_600),
            (CalendarPeriod::Day, DAY),
            (CalendarPeriod::Month, 31 * DAY),
        ] {
            let end = period.end(now);
            prop_assert!(end > now && end - now <= length, "{:?}", period);
            // And the second before it is of the same period.
            prop_assert_eq!(period.end(end - 1), end);
        }
    }

    /// As a time, the state outlives its period, so that its slot is not taken for free.
    #[test]
    fn a_state_is_not_earlier_than_the_end_of_its_period(
        end in 0_u64..1 << 62,
        cost in 1_u32..,
    ) {
        let quota = Calendar::new(u32::MAX, CalendarPeriod::Day).unwrap();
        let Verdict::Allow { state } = quota.decide(0, end, cost) else { panic!() };
        prop_assert!(state >= end);
        prop_assert_eq!(quota.used(state, end), cost);
    }
}

const SECOND: u64 = 1_000_000_000;
