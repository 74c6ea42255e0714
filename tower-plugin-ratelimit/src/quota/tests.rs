use proptest::prelude::*;

use super::{text::UNITS, *};

#[test]
fn the_text_form_is_read_and_written() {
    let cases = [
        ("10/s:20", "10/s:20", 10, 1_000, 20),
        ("6/m:10", "6/m:10", 6, 60_000, 10),
        ("1000/d", "1000/d", 1000, 86_400_000, 1000),
        ("5/30s", "5/30s", 5, 30_000, 5),
        ("5/60s:5", "5/m", 5, 60_000, 5),
        ("3/250ms", "3/250ms", 3, 250, 3),
        ("1/h:1", "1/h", 1, 3_600_000, 1),
        ("<=100/m", "<=100/m", 100, 60_000, 50),
        ("<=1/60s", "<=1/m", 1, 60_000, 1),
        ("5000/utc-day", "5000/utc-day", 5_000, 86_400_000, 5_000),
    ];
    for (text, canonical, count, millis, burst) in cases {
        let quota: Quota = text.parse().unwrap();
        assert_eq!(quota.to_string(), canonical);
        assert_eq!(
            (quota.count(), quota.period(), quota.burst()),
            (count, Duration::from_millis(millis), burst)
        );
    }
}

#[test]
fn f38_an_impossible_quota_is_refused_with_its_range() {
    use InvalidQuotaKind as Kind;
    let cases = [
        ("0/s", Kind::Count, "1 to 4294967295"),
        ("1/0s", Kind::Period, "1 ms to 366 days"),
        ("1/367d", Kind::Period, "1 ms to 366 days"),
        ("1/s:0", Kind::Burst, "at least 1"),
        ("1/366d:4000000000", Kind::Burst, "146 years"),
        ("2000000/ms", Kind::Rate, "1000000000 per second"),
        ("", Kind::Syntax, "COUNT/PERIOD"),
        ("10", Kind::Syntax, "COUNT/PERIOD"),
        ("10/", Kind::Syntax, "COUNT/PERIOD"),
        ("10/w", Kind::Syntax, "COUNT/PERIOD"),
        ("-1/s", Kind::Syntax, "COUNT/PERIOD"),
        ("+1/s", Kind::Syntax, "COUNT/PERIOD"),
        ("1.5/s", Kind::Syntax, "COUNT/PERIOD"),
        ("NaN/s", Kind::Syntax, "COUNT/PERIOD"),
        ("1/s:", Kind::Syntax, "COUNT/PERIOD"),
        ("99999999999/s", Kind::Syntax, "COUNT/PERIOD"),
        ("<=0/s", Kind::Count, "1 to 4294967295"),
        ("<=5/s:5", Kind::Syntax, "COUNT/PERIOD"),
        ("0/utc-day", Kind::Count, "1 to 4294967295"),
        ("5/utc-week", Kind::Syntax, "COUNT/PERIOD"),
        ("5/utc-day:5", Kind::Syntax, "COUNT/PERIOD"),
    ];
    for (text, kind, told) in cases {
        let refused = text.parse::<Quota>().unwrap_err();
        assert_eq!(refused.kind(), kind, "{text:?}");
        assert!(refused.to_string().contains(told), "{text:?}: {refused}");
    }
}

#[test]
fn what_unwrap_prints_says_what_was_read_and_what_is_allowed() {
    let printed = |text: &str| format!("{:?}", text.parse::<Quota>().unwrap_err());
    assert_eq!(
        printed("1/367d"),
        "InvalidQuota { kind: Period, text: \"1/367d\", message: quota: period must be in 1 ms to 366 days }"
    );
    assert!(printed("10/w").contains("text: \"10/w\", message: quota: expected COUNT/PERIOD"));
    // One line, and no more than the beginning of it.
    assert!(printed("10\n/s").contains("text: \"10\\n/s\""));
    let long = printed(&format!("x{}", "\u{e9}".repeat(1_000)));
    assert!(long.contains(&format!("text: \"x{}\"", "\u{e9}".repeat(19))));

    let made = Quota::per_second(0).unwrap_err();
    assert_eq!(
        format!("{made:?}"),
        "InvalidQuota { kind: Count, message: quota: count must be in 1 to 4294967295 }"
    );
}

#[test]
fn the_interval_is_rounded_against_the_caller() {
    assert_eq!(interval(3, Duration::from_secs(1)), 333_333_334);
    assert_eq!(interval(700_000, Duration::from_secs(1)), 1_429);
}

proptest! {
    #[test]
    fn any_quota_survives_its_text(
        count in 1_u32..1_000_000,
        nanos in 1_000_000_u64..31_622_400_000_000_000,
        unit in prop::sample::select(UNITS.to_vec()),
        burst in 1_u32..1_000_000,
    ) {
        let period = Duration::from_nanos(nanos / unit.1 * unit.1);
        let Ok(quota) = Quota::with_period(count, period) else {
            return Ok(());
        };
        if let Ok(quota) = quota.allow_burst(burst) {
            prop_assert_eq!(quota.to_string().parse(), Ok(quota));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,24}") {
        let _ = text.parse::<Quota>();
    }
}

#[test]
fn a_replicas_share_is_an_equal_part() {
    let cases = [
        ("100/s:50", 4, "100/4s:12"),
        ("3/m:2", 10, "3/10m:1"),
        ("<=100/m", 4, "<=25/m"),
        ("1000/utc-day", 3, "333/utc-day"),
    ];
    for (whole, replicas, share) in cases {
        let whole: Quota = whole.parse().unwrap();
        assert_eq!(whole.per_replica(replicas).unwrap().to_string(), share);
    }
    let quota = Quota::per_second(1).unwrap();
    let refused = quota.per_replica(0).unwrap_err();
    assert_eq!(refused.kind(), InvalidQuotaKind::Replicas);
    let one: Quota = "<=1/m".parse().unwrap();
    assert!(one.per_replica(2).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(1_000)))]

    /// What users mean by "n per minute": no window of that length, however placed, sees more.
    #[test]
    fn at_most_is_kept_by_every_closed_window(
        count in 1_u32..30,
        window_ms in 1_u64..50,
        pauses in prop::collection::vec(0_u64..8_000_000, 1..150),
    ) {
        let window = window_ms * 1_000_000;
        let quota = Quota::at_most(count, Duration::from_millis(window_ms)).unwrap();
        let Rule::Gcra(gcra) = quota.rule() else { panic!() };
        let (mut tat, mut now, mut admitted) = (0, 1, Vec::new());
        for pause in pauses {
            now += pause;
            // As many as fit, each time.
            while let crate::gcra::Verdict::Allow { tat: next, .. } = gcra.decide(tat, now, 1) {
                tat = next;
                admitted.push(now);
            }
        }
        for (first, from) in admitted.iter().enumerate() {
            let seen = admitted[first..].iter().filter(|at| **at <= from + window).count();
            prop_assert!(seen <= count as usize, "{} in one window", seen);
        }
    }
}
