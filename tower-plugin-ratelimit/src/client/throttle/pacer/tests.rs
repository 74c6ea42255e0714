use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn pacer(interval: u64, burst: u32) -> Pacer {
    Pacer::new(Gcra::new(interval, burst).unwrap(), 10)
}

const fn wait(nanos: u64) -> Verdict {
    Verdict::Wait { nanos }
}

#[test]
fn a_burst_goes_at_once_and_the_rest_evenly() {
    let pacer = pacer(100, 3);
    let mut pace = Pace::default();
    for _ in 0..3 {
        assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Go);
    }
    let waits: Vec<_> = (0..4)
        .map(|ahead| pacer.wait(&mut pace, 1000, ahead))
        .collect();
    assert_eq!(waits, [100, 200, 300, 400]);
    assert_eq!(pacer.decide(&mut pace, 1099), wait(1));
    assert_eq!(pacer.decide(&mut pace, 1100), Verdict::Go);
}

#[test]
fn a_pause_is_kept_and_no_burst_follows() {
    let pacer = pacer(100, 3);
    let mut pace = Pace::default();
    pacer.pause(&mut pace, 1000, 5000);
    assert_eq!(pacer.decide(&mut pace, 1000), wait(5000));
    // A shorter one does not end it.
    pacer.pause(&mut pace, 1000, 10);
    let waits: Vec<_> = (0..3)
        .map(|ahead| pacer.wait(&mut pace, 1000, ahead))
        .collect();
    assert_eq!(waits, [5000, 5100, 5200]);
}

#[test]
fn nobody_is_believed_for_more_than_an_hour() {
    let pacer = pacer(100, 1);
    let mut pace = Pace::default();
    pacer.pause(&mut pace, 7, u64::MAX);
    assert_eq!(pacer.decide(&mut pace, 7), wait(3600 * SECOND));
    let mut pace = Pace::default();
    pacer.observe(&mut pace, 7, &[Headroom::new(1, u64::MAX)]);
    assert!(pacer.wait(&mut pace, 7, 0) <= 3600 * SECOND);
}

#[test]
fn what_is_left_is_spread_until_there_is_more() {
    let pacer = pacer(100, 1);
    let mut pace = Pace::default();
    assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Go);
    assert!(!pacer.observe(&mut pace, 1000, &[Headroom::new(4, 2000)]));
    let waits: Vec<_> = (0..6)
        .map(|ahead| pacer.wait(&mut pace, 1000, ahead))
        .collect();
    // Three before there is more, and from then on as fast as we please.
    assert_eq!(waits, [500, 1000, 1500, 2000, 2100, 2200]);
    assert_eq!(pacer.decide(&mut pace, 1500), Verdict::Go);
    assert_eq!(pacer.decide(&mut pace, 1500), wait(500));
    assert_eq!(pacer.decide(&mut pace, 3000), Verdict::Go);
    assert_eq!(pacer.decide(&mut pace, 3000), wait(100));
}

#[test]
fn the_server_is_heeded_only_when_little_is_left() {
    let cases: [(&[Headroom], u64); 8] = [
        (&[], 100),
        (&[Headroom::new(11, SECOND)], 100),
        (&[Headroom::new(10, 5000)], 500),
        (&[Headroom::new(10, 10)], 100),
        (&[Headroom::new(0, 0)], 100),
        (&[Headroom::new(0, 700)], 700),
        (&[Headroom::new(2, 600), Headroom::new(9, 3600)], 400),
        (&[Headroom::new(9, 3600), Headroom::new(2, 600)], 400),
    ];
    for (said, expected) in cases {
        let pacer = pacer(100, 1);
        let mut pace = Pace::default();
        assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Go);
        pacer.observe(&mut pace, 1000, said);
        assert_eq!(pacer.decide(&mut pace, 1000), wait(expected), "{said:?}");
    }
}

#[test]
fn plenty_lifts_what_was_said_before_but_no_pause() {
    let pacer = pacer(100, 1);
    let mut pace = Pace::default();
    assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Go);
    pacer.observe(&mut pace, 1000, &[Headroom::new(1, 9000)]);
    assert!(pacer.observe(&mut pace, 1000, &[Headroom::new(1, 3000)]));
    assert!(pacer.observe(&mut pace, 1000, &[Headroom::new(50, 9000)]));
    assert_eq!(pacer.decide(&mut pace, 1000), wait(100));
    pacer.pause(&mut pace, 1000, 9000);
    assert!(!pacer.observe(&mut pace, 1000, &[Headroom::new(50, 9000)]));
    assert_eq!(pacer.decide(&mut pace, 1000), wait(9000));
}

#[test]
fn a_clock_that_goes_back_stood_still() {
    let pacer = pacer(100, 1);
    let hour = 3600 * SECOND;
    let mut pace = Pace::default();
    assert_eq!(pacer.decide(&mut pace, 2 * hour), Verdict::Go);
    assert_eq!(pacer.decide(&mut pace, hour), wait(100));
    assert_eq!(pacer.decide(&mut pace, hour + 99), wait(1));
    assert_eq!(pacer.decide(&mut pace, hour + 100), Verdict::Go);

    pacer.observe(&mut pace, hour + 100, &[Headroom::new(2, 1000)]);
    assert_eq!(pacer.decide(&mut pace, 7), wait(500));
    assert_eq!(pacer.decide(&mut pace, 507), Verdict::Go);
    assert_eq!(pacer.wait(&mut pace, 507, 1), 600, "until there is more");
}

#[derive(Clone, Debug)]
enum Step {
    Go,
    Advance(u64),
    Back(u64),
    Pause(u64),
    Observe(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Go),
        4 => (1..300_u64).prop_map(Step::Advance),
        1 => (1..5000_u64).prop_map(Step::Back),
        1 => (1..500_u64).prop_map(Step::Pause),
        1 => (0..20_u64, 0..1000_u64).prop_map(|(r, t)| Step::Observe(r, t)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(1000)))]

    /// Every window of length w sees at most burst + w / interval, whatever server and clock do. Time
    /// is what the clock went forward.
    #[test]
    fn no_window_sees_more_than_the_quota(
        interval in 1..200_u64,
        burst in 1..5_u32,
        steps in proptest::collection::vec(step(), 1..100),
    ) {
        let pacer = pacer(interval, burst);
        let mut pace = Pace::default();
        let (mut now, mut elapsed) = (100_000_u64, 0_u64);
        let mut went = Vec::new();
        for step in steps {
            match step {
                Step::Go => match pacer.decide(&mut pace, now) {
                    Verdict::Go => went.push(elapsed),
                    Verdict::Wait { nanos } => prop_assert!(nanos > 0),
                },
                Step::Advance(nanos) => {
                    now += nanos;
                    elapsed += nanos;
                    // Noticed before it goes back again.
                    pacer.wait(&mut pace, now, 0);
                }
                Step::Back(nanos) => {
                    now = now.saturating_sub(nanos);
                    pacer.wait(&mut pace, now, 0);
                }
                Step::Pause(nanos) => pacer.pause(&mut pace, now, nanos),
                Step::Observe(remaining, reset) => {
                    pacer.observe(&mut pace, now, &[Headroom::new(remaining, reset)]);
                }
            }
        }
        for (index, start) in went.iter().enumerate() {
            for (count, end) in went[index..].iter().enumerate() {
                let allowed = u64::from(burst) + (end - start) / interval;
                prop_assert!((count as u64) < allowed, "{} went", count + 1);
            }
        }
    }

    /// Whoever is told a time goes at that time and not before, if those before it go at theirs.
    #[test]
    fn a_line_goes_exactly_as_it_was_told(
        interval in 1..200_u64,
        burst in 1..5_u32,
        start in 0..10_000_u64,
        spent in 0..6_u32,
        pause in prop::option::of(1..3000_u64),
        said in prop::option::of((1..12_u64, 1..5000_u64)),
        length in 1..20_u32,
    ) {
        let pacer = pacer(interval, burst);
        let mut pace = Pace::default();
        for _ in 0..spent {
            let _ = pacer.decide(&mut pace, start);
        }
        if let Some(pause) = pause {
            pacer.pause(&mut pace, start, pause);
        }
        if let Some((remaining, reset)) = said {
            pacer.observe(&mut pace, start, &[Headroom::new(remaining, reset)]);
        }
        let told: Vec<_> = (0..length)
            .map(|ahead| start + pacer.wait(&mut pace, start, ahead))
            .collect();
        prop_assert!(told.is_sorted());
        let mut earlier = start;
        for at in told {
            // Asking for an earlier time than that would be a clock that goes back.
            if at > earlier {
                let mut before = pace;
                prop_assert_ne!(pacer.decide(&mut before, at - 1), Verdict::Go);
            }
            prop_assert_eq!(pacer.decide(&mut pace, at), Verdict::Go);
            earlier = at;
        }
    }
}
