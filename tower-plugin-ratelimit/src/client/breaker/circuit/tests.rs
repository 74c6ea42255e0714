use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn circuit(failures: u32, successes: u32) -> Circuit {
    let circuit = Circuit::default().open_after(failures).unwrap();
    let circuit = circuit.close_after(successes).unwrap();
    circuit.open_for(Duration::from_secs(1)).unwrap()
}

fn admitted(circuit: Circuit, state: &mut CircuitState, now: u64) -> Permit {
    match circuit.decide(state, now) {
        Verdict::Allow(permit) => permit,
        Verdict::Deny { retry_after } => panic!("refused for {retry_after} ns"),
    }
}

fn fail(circuit: Circuit, state: &mut CircuitState, now: u64) {
    let permit = admitted(circuit, state, now);
    circuit.on_failure(state, permit, now);
}

fn succeed(circuit: Circuit, state: &mut CircuitState, now: u64) {
    let permit = admitted(circuit, state, now);
    circuit.on_success(state, permit);
}

#[test]
fn the_defaults_are_five_failures_two_successes_ten_seconds_one_probe() {
    let same = circuit(5, 2).open_for(Duration::from_secs(10)).unwrap();
    assert_eq!(Circuit::default(), same.allow_probes(1).unwrap());
    assert_eq!(CircuitState::default().phase(), Phase::Closed);
}

#[test]
fn it_opens_after_as_many_failures_in_a_row() {
    let circuit = circuit(3, 1);
    let mut state = CircuitState::default();
    for _ in 0..2 {
        fail(circuit, &mut state, 0);
        assert_eq!(state.phase(), Phase::Closed);
    }
    fail(circuit, &mut state, 0);
    assert_eq!(state.phase(), Phase::Open);
}

#[test]
fn a_success_starts_the_count_anew() {
    let circuit = circuit(3, 1);
    let mut state = CircuitState::default();
    for _ in 0..5 {
        fail(circuit, &mut state, 0);
        fail(circuit, &mut state, 0);
        succeed(circuit, &mut state, 0);
    }
    assert_eq!(state.phase(), Phase::Closed);
}

#[test]
fn it_stays_open_to_the_nanosecond() {
    let circuit = circuit(1, 1);
    let mut state = CircuitState::default();
    fail(circuit, &mut state, 5);
    let refused = |retry_after| Verdict::Deny { retry_after };
    assert_eq!(circuit.decide(&mut state, 5), refused(SECOND));
    assert_eq!(circuit.decide(&mut state, 4 + SECOND), refused(1));
    assert_eq!(state.phase(), Phase::Open);
    succeed(circuit, &mut state, 5 + SECOND);
    assert_eq!(state.phase(), Phase::Closed);
}

#[test]
fn it_closes_after_as_many_successes() {
    let circuit = circuit(1, 3);
    let mut state = CircuitState::default();
    fail(circuit, &mut state, 0);
    for _ in 0..2 {
        succeed(circuit, &mut state, SECOND);
        assert_eq!(state.phase(), Phase::HalfOpen);
    }
    succeed(circuit, &mut state, SECOND);
    assert_eq!(state.phase(), Phase::Closed);
}

#[test]
fn a_failed_probe_opens_it_for_the_whole_time_again() {
    let circuit = circuit(1, 2);
    let mut state = CircuitState::default();
    fail(circuit, &mut state, 0);
    succeed(circuit, &mut state, SECOND);
    fail(circuit, &mut state, SECOND + 7);
    assert_eq!(state.phase(), Phase::Open);
    let all = Verdict::Deny {
        retry_after: SECOND,
    };
    assert_eq!(circuit.decide(&mut state, SECOND + 7), all);
    // The success before does not count any more.
    succeed(circuit, &mut state, 2 * SECOND + 7);
    assert_eq!(state.phase(), Phase::HalfOpen);
}

#[test]
fn a_cancelled_call_counts_for_nothing_and_frees_its_place() {
    let circuit = circuit(2, 1);
    let mut state = CircuitState::default();
    fail(circuit, &mut state, 0);
    for _ in 0..100 {
        let permit = admitted(circuit, &mut state, 0);
        circuit.on_cancel(&mut state, permit);
    }
    assert_eq!(state.phase(), Phase::Closed);
    fail(circuit, &mut state, 0);
    assert_eq!(state.phase(), Phase::Open);
    for _ in 0..100 {
        let permit = admitted(circuit, &mut state, SECOND);
        circuit.on_cancel(&mut state, permit);
        assert_eq!(state.phase(), Phase::HalfOpen);
    }
}

#[test]
fn what_comes_late_is_not_held_against_the_present() {
    let circuit = circuit(1, 2);
    let mut state = CircuitState::default();
    let late: Vec<_> = (0..3).map(|_| admitted(circuit, &mut state, 0)).collect();
    fail(circuit, &mut state, 0);
    let probe = admitted(circuit, &mut state, SECOND);

    circuit.on_failure(&mut state, late[0], SECOND);
    circuit.on_success(&mut state, late[1]);
    circuit.on_cancel(&mut state, late[2]);
    assert_eq!(state.phase(), Phase::HalfOpen);
    let full = circuit.decide(&mut state, SECOND);
    assert!(matches!(full, Verdict::Deny { .. }), "a place was freed");
    circuit.on_success(&mut state, probe);
    assert_eq!(state.phase(), Phase::HalfOpen, "a success was counted");
}

#[test]
fn a_probe_that_hangs_is_replaced_and_still_counts() {
    let circuit = circuit(1, 2);
    let mut state = CircuitState::default();
    fail(circuit, &mut state, 0);
    let hangs = admitted(circuit, &mut state, SECOND);
    let wait = |retry_after| Verdict::Deny { retry_after };
    assert_eq!(circuit.decide(&mut state, 2 * SECOND - 1), wait(1));
    let second = admitted(circuit, &mut state, 2 * SECOND);
    circuit.on_success(&mut state, hangs);
    assert_eq!(state.phase(), Phase::HalfOpen);
    // Its place was given away: it has none to free.
    assert_eq!(circuit.decide(&mut state, 2 * SECOND), wait(SECOND));
    circuit.on_success(&mut state, second);
    assert_eq!(state.phase(), Phase::Closed);
}

#[test]
fn a_clock_that_goes_back_is_felt_for_one_period() {
    let circuit = circuit(1, 1);
    let mut state = CircuitState::default();
    fail(circuit, &mut state, 100 * SECOND);
    let all = Verdict::Deny {
        retry_after: SECOND,
    };
    assert_eq!(circuit.decide(&mut state, 3), all);
    let hangs = admitted(circuit, &mut state, 3 + SECOND);
    assert_eq!(circuit.decide(&mut state, 2), all);
    let _ = admitted(circuit, &mut state, 2 + SECOND);
    circuit.on_cancel(&mut state, hangs);
}

#[test]
fn what_cannot_be_is_refused_with_its_range() {
    let circuit = Circuit::default();
    let cases = [
        (circuit.open_after(0), "failures must be at least 1"),
        (circuit.close_after(0), "successes must be at least 1"),
        (circuit.allow_probes(0), "probes must be at least 1"),
        (circuit.open_for(Duration::ZERO), "1 ns to a day"),
        (
            circuit.open_for(Duration::from_secs(86_401)),
            "1 ns to a day",
        ),
    ];
    for (refused, told) in cases {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
}

#[test]
fn phases_have_names() {
    let names = [Phase::Closed, Phase::HalfOpen, Phase::Open].map(|phase| phase.to_string());
    assert_eq!(names, ["closed", "half-open", "open"]);
}

#[derive(Clone, Debug)]
enum Step {
    Call,
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    Cancel(prop::sample::Index),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Call),
        1 => any::<prop::sample::Index>().prop_map(Step::Succeed),
        2 => any::<prop::sample::Index>().prop_map(Step::Fail),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => (1..150_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(1000)))]

    /// Probes that are younger than the time to stay open never exceed the bound; an open circuit lets
    /// nothing pass before its time; and who waits as told is let through.
    #[test]
    fn bounds_hold_and_nobody_waits_in_vain(
        probes in 1..4_u32,
        successes in 1..4_u32,
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let circuit = circuit(2, successes).allow_probes(probes).unwrap();
        let circuit = circuit.open_for(Duration::from_nanos(100)).unwrap();
        let mut state = CircuitState::default();
        let mut now = 0;
        let mut opened_at = None;
        let mut out: Vec<(Permit, Phase, u64)> = Vec::new();
        for step in steps {
            let before = state.phase();
            match step {
                Step::Advance(nanos) => now += nanos,
                Step::Call => match circuit.decide(&mut state, now) {
                    Verdict::Allow(permit) => {
                        if let (Phase::Open, Some(opened_at)) = (before, opened_at) {
                            prop_assert!(now - opened_at >= 100);
                            // Probes of an earlier phase are no probes of this one.
                            out.retain(|(_, phase, _)| *phase == Phase::Closed);
                        }
                        out.push((permit, state.phase(), now));
                    }
                    Verdict::Deny { retry_after } => {
                        prop_assert!(retry_after > 0 && retry_after <= 100);
                        let mut later = state;
                        let then = circuit.decide(&mut later, now + retry_after);
                        prop_assert!(matches!(then, Verdict::Allow(_)));
                    }
                },
                Step::Succeed(index) if !out.is_empty() => {
                    let (permit, ..) = out.swap_remove(index.index(out.len()));
                    circuit.on_success(&mut state, permit);
                }
                Step::Fail(index) if !out.is_empty() => {
                    let (permit, ..) = out.swap_remove(index.index(out.len()));
                    circuit.on_failure(&mut state, permit, now);
                }
                Step::Cancel(index) if !out.is_empty() => {
                    let (permit, ..) = out.swap_remove(index.index(out.len()));
                    circuit.on_cancel(&mut state, permit);
                }
                _ => (),
            }
            if before != Phase::Open && state.phase() == Phase::Open {
                opened_at = Some(now);
            }
            if state.phase() == Phase::HalfOpen {
                let young = out.iter().filter(|(_, phase, at)| {
                    *phase == Phase::HalfOpen && now - at < 100
                });
                prop_assert!(young.count() <= probes as usize);
            }
        }
    }
}
