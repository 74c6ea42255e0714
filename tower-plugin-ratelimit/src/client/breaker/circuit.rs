//! Engine: a circuit breaker, after Nygard ("Release It!").
//!
//! *Closed*, calls pass and consecutive failures are counted; at the threshold it opens. *Open*, calls
//! are refused for a while. *Half open*, a few calls at a time are let through as probes: enough
//! successes close it, one failure opens it again.
//!
//! Every call that is let through holds a [`Permit`] and must give it back: to
//! [`on_success`](Circuit::on_success), [`on_failure`](Circuit::on_failure) or
//! [`on_cancel`](Circuit::on_cancel). A permit knows in which phase it was given, so what comes back
//! late, from before the last change, is not held against the present.
//!
//! Times are nanoseconds since an origin of the caller's choice. A clock that goes back starts the
//! period it is in anew.

use std::time::Duration;

mod error;
mod phase;

pub use error::InvalidCircuit;
pub use phase::Phase;

/// When to open, for how long, and what it takes to close again.
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_ratelimit::client::breaker::{Circuit, CircuitState, Phase, Verdict};
///
/// let circuit = Circuit::default().open_after(1)?.open_for(Duration::from_nanos(100))?;
/// let mut state = CircuitState::default();
///
/// let Verdict::Allow(permit) = circuit.decide(&mut state, 1000) else { panic!() };
/// circuit.on_failure(&mut state, permit, 1010);
/// assert_eq!(state.phase(), Phase::Open);
/// assert_eq!(circuit.decide(&mut state, 1050), Verdict::Deny { retry_after: 60 });
///
/// // One probe, and no other beside it.
/// assert!(matches!(circuit.decide(&mut state, 1110), Verdict::Allow(_)));
/// assert!(matches!(circuit.decide(&mut state, 1110), Verdict::Deny { .. }));
/// # Ok::<_, tower_plugin_ratelimit::client::breaker::InvalidCircuit>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Circuit {
    failures: u32,
    successes: u32,
    open_for: u64,
    probes: u32,
}

/// What [`Circuit::decide`] finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third answer would change the algorithm"
)]
#[must_use]
pub enum Verdict {
    /// Call, and give the permit back.
    Allow(Permit),
    /// Do not call.
    Deny {
        /// Nanoseconds after which a call is let through, if none is before.
        retry_after: u64,
    },
}

/// The right to make one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Permit {
    /// The phase it was given in.
    epoch: u64,
    /// Which of the probes it is one of.
    round: u64,
}

/// The state of one circuit; closed, to begin with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CircuitState {
    stage: Stage,
    epoch: u64,
    round: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Closed {
        failures: u32,
    },
    HalfOpen {
        in_flight: u32,
        successes: u32,
        last_probe: u64,
    },
    Open {
        since: u64,
    },
}

impl CircuitState {
    /// The state's name.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.stage {
            Stage::Closed { .. } => Phase::Closed,
            Stage::HalfOpen { .. } => Phase::HalfOpen,
            Stage::Open { .. } => Phase::Open,
        }
    }

    const fn change(&mut self, stage: Stage) {
        self.stage = stage;
        self.epoch = self.epoch.wrapping_add(1);
    }

    const fn permit(&self) -> Permit {
        Permit {
            epoch: self.epoch,
            round: self.round,
        }
    }
}

impl Default for CircuitState {
    fn default() -> Self {
        Self {
            stage: Stage::Closed { failures: 0 },
            epoch: 0,
            round: 0,
        }
    }
}

impl Circuit {
    /// Sets how many failures in a row open it: 5 by default.
    ///
    /// # Errors
    ///
    /// [`InvalidCircuit`] if `failures` is 0.
    pub const fn open_after(mut self, failures: u32) -> Result<Self, InvalidCircuit> {
        if failures == 0 {
            return Err(InvalidCircuit::Failures);
        }
        self.failures = failures;
        Ok(self)
    }

    /// Sets how many probes must succeed to close it, none failing in between: 2 by default.
    ///
    /// # Errors
    ///
    /// [`InvalidCircuit`] if `successes` is 0.
    pub const fn close_after(mut self, successes: u32) -> Result<Self, InvalidCircuit> {
        if successes == 0 {
            return Err(InvalidCircuit::Successes);
        }
        self.successes = successes;
        Ok(self)
    }

    /// Sets how long it stays open before it probes: 10 s by default.
    ///
    /// # Errors
    ///
    /// [`InvalidCircuit`] if `duration` is not in 1 ns to a day.
    pub const fn open_for(mut self, duration: Duration) -> Result<Self, InvalidCircuit> {
        if duration.is_zero() || duration.as_secs() > 86_400 {
            return Err(InvalidCircuit::OpenFor);
        }
        self.open_for = duration.as_nanos() as u64;
        Ok(self)
    }

    /// Sets how many probes may be on their way at a time: 1 by default.
    ///
    /// Probes that take longer than the circuit stays open are not waited for: from then on new ones
    /// are let through, or else a single call that hangs would keep it half open for good.
    ///
    /// # Errors
    ///
    /// [`InvalidCircuit`] if `probes` is 0.
    pub const fn allow_probes(mut self, probes: u32) -> Result<Self, InvalidCircuit> {
        if probes == 0 {
            return Err(InvalidCircuit::Probes);
        }
        self.probes = probes;
        Ok(self)
    }

    /// Decides whether to call.
    pub const fn decide(self, state: &mut CircuitState, now: u64) -> Verdict {
        match &mut state.stage {
            Stage::Closed { .. } => {}
            Stage::Open { since } => {
                if now < *since {
                    *since = now;
                }
                let left = self.open_for.saturating_sub(now - *since);
                if left > 0 {
                    return Verdict::Deny { retry_after: left };
                }
                state.round = state.round.wrapping_add(1);
                state.change(Stage::HalfOpen {
                    in_flight: 1,
                    successes: 0,
                    last_probe: now,
                });
            }
            Stage::HalfOpen {
                in_flight,
                last_probe,
                ..
            } => {
                if now < *last_probe {
                    *last_probe = now;
                }
                if *in_flight >= self.probes {
                    let left = self.open_for.saturating_sub(now - *last_probe);
                    if left > 0 {
                        return Verdict::Deny { retry_after: left };
                    }
                    // They hang. What they say in the end still counts, but they hold no place.
                    *in_flight = 0;
                    state.round = state.round.wrapping_add(1);
                }
                *in_flight += 1;
                *last_probe = now;
            }
        }
        Verdict::Allow(state.permit())
    }

    /// Gives a permit back for a call that succeeded.
    pub const fn on_success(self, state: &mut CircuitState, permit: Permit) {
        if permit.epoch != state.epoch {
            return;
        }
        release(state, permit);
        match &mut state.stage {
            Stage::Closed { failures } => *failures = 0,
            Stage::HalfOpen { successes, .. } => {
                *successes += 1;
                if *successes >= self.successes {
                    state.change(Stage::Closed { failures: 0 });
                }
            }
            Stage::Open { .. } => {}
        }
    }

    /// Gives a permit back for a call that failed.
    pub const fn on_failure(self, state: &mut CircuitState, permit: Permit, now: u64) {
        if permit.epoch != state.epoch {
            return;
        }
        match &mut state.stage {
            Stage::Closed { failures } => {
                *failures += 1;
                if *failures >= self.failures {
                    state.change(Stage::Open { since: now });
                }
            }
            Stage::HalfOpen { .. } => state.change(Stage::Open { since: now }),
            Stage::Open { .. } => {}
        }
    }

    /// Gives a permit back for a call that says nothing: its caller lost interest.
    pub const fn on_cancel(self, state: &mut CircuitState, permit: Permit) {
        if permit.epoch == state.epoch {
            release(state, permit);
        }
    }
}

/// 5 failures open it for 10 s, 2 successes of one probe at a time close it.
impl Default for Circuit {
    fn default() -> Self {
        Self {
            failures: 5,
            successes: 2,
            open_for: 10_000_000_000,
            probes: 1,
        }
    }
}

/// Frees the place of a probe, unless its place was taken from it.
const fn release(state: &mut CircuitState, permit: Permit) {
    if let Stage::HalfOpen { in_flight, .. } = &mut state.stage
        && permit.round == state.round
    {
        *in_flight = in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
