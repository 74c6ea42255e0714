use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_plugin_core::{Clock, SystemClock};

use super::{
    super::Outcome,
    circuit::{Circuit, CircuitState, Permit, Phase, Verdict},
};

/// From what to what a circuit changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Change {
    from: Phase,
    to: Phase,
}

impl Change {
    /// What it was.
    #[must_use]
    pub const fn from(self) -> Phase {
        self.from
    }

    /// What it is.
    #[must_use]
    pub const fn to(self) -> Phase {
        self.to
    }
}

/// What the layer was told.
pub(super) struct Settings<C> {
    pub(super) circuit: Circuit,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) on_change: Option<Arc<OnChange>>,
    pub(super) classify: Arc<C>,
}

pub(super) type OnChange = dyn Fn(Change) + Send + Sync;

impl<C> Settings<C> {
    pub(super) fn new(circuit: Circuit, classify: C) -> Self {
        Self {
            circuit,
            clock: Arc::new(SystemClock::new()),
            on_change: None,
            classify: Arc::new(classify),
        }
    }
}

impl<C> Clone for Settings<C> {
    fn clone(&self) -> Self {
        Self {
            circuit: self.circuit,
            clock: Arc::clone(&self.clock),
            on_change: self.on_change.clone(),
            classify: Arc::clone(&self.classify),
        }
    }
}

/// The state all services of a layer share.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    circuit: CircuitState,
    /// Changes the callback has not been told of, oldest first.
    untold: VecDeque<Change>,
    /// Somebody is telling them, one after the other.
    is_telling: bool,
}

/// A circuit in use: what was set, and its state.
pub(super) struct Breaker<C> {
    pub(super) settings: Settings<C>,
    shared: Arc<Shared>,
}

impl<C> Breaker<C> {
    pub(super) const fn new(settings: Settings<C>, shared: Arc<Shared>) -> Self {
        Self { settings, shared }
    }

    pub(super) fn phase(&self) -> Phase {
        self.shared.phase()
    }

    /// The right to call, or how many nanoseconds there is none.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Call<C>, u64> {
        match self.update(|circuit, state, now| circuit.decide(state, now)) {
            Verdict::Allow(permit) => Ok(Call {
                breaker: Arc::clone(self),
                permit: Some(permit),
                is_running: false,
            }),
            Verdict::Deny { retry_after } => Err(retry_after),
        }
    }

    /// Applies one step of the engine, then tells of the change it made.
    fn update<T>(&self, step: impl FnOnce(Circuit, &mut CircuitState, u64) -> T) -> T {
        let mut state = self.shared.lock();
        // Read behind the lock, so that steps are taken in the order of their times.
        let now = self.settings.clock.monotonic_nanos();
        let from = state.circuit.phase();
        let result = step(self.settings.circuit, &mut state.circuit, now);
        let to = state.circuit.phase();
        if from == to {
            return result;
        }
        let Some(on_change) = &self.settings.on_change else {
            return result;
        };
        if state.untold.len() >= MAX_UNTOLD {
            state.untold.pop_front();
        }
        state.untold.push_back(Change { from, to });
        if state.is_telling {
            return result;
        }
        state.is_telling = true;
        drop(state);
        self.shared.tell(&**on_change);
        result
    }
}

impl Shared {
    pub(super) fn phase(&self) -> Phase {
        self.lock().circuit.phase()
    }

    /// Tells of the changes there are and of those that come meanwhile, in order and outside the lock.
    fn tell(&self, on_change: &OnChange) {
        loop {
            let change = {
                let mut state = self.lock();
                let Some(change) = state.untold.pop_front() else {
                    state.is_telling = false;
                    return;
                };
                change
            };
            // Whoever panics here must take neither the call nor the later changes along.
            if catch_unwind(AssertUnwindSafe(|| on_change(change))).is_err() {
                tracing::warn!("the callback of a circuit breaker panicked");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> fmt::Debug for Breaker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("circuit", &self.settings.circuit)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// A call on its way. Dropped without an outcome, it was cancelled, which says nothing about the
/// service; unless it was dropped while it ran, which is a panic and a failure.
pub(super) struct Call<C> {
    breaker: Arc<Breaker<C>>,
    permit: Option<Permit>,
    is_running: bool,
}

impl<C> Call<C> {
    /// Runs a piece of the call.
    pub(super) fn run<T>(&mut self, piece: impl FnOnce() -> T) -> T {
        self.is_running = true;
        let result = piece();
        self.is_running = false;
        result
    }

    pub(super) fn classify(&self) -> &C {
        &self.breaker.settings.classify
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        self.breaker.update(|circuit, state, now| match outcome {
            Outcome::Failure => circuit.on_failure(state, permit, now),
            Outcome::Neutral => circuit.on_cancel(state, permit),
            Outcome::Success => circuit.on_success(state, permit),
        });
    }
}

impl<C> Drop for Call<C> {
    fn drop(&mut self) {
        self.settle(match self.is_running {
            true => Outcome::Failure,
            false => Outcome::Neutral,
        });
    }
}

/// Changes are rare; this many wait only for a callback that blocks.
const MAX_UNTOLD: usize = 64;
