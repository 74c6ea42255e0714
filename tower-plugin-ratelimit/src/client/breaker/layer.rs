use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_plugin_core::Clock;

use super::{
    super::{ByStatus, Head, Outcome},
    Change, Circuit, CircuitBreaker, Phase,
    call::{Breaker, Settings, Shared},
};

/// Answers for a service that fails, instead of calling it.
///
/// All services made by a layer and its clones are one circuit: make a layer per service that is
/// called. See the [module docs](super::super) for an example.
#[must_use]
pub struct CircuitBreakerLayer<C = ByStatus> {
    settings: Settings<C>,
    shared: Arc<Shared>,
}

impl CircuitBreakerLayer {
    /// Counts as failures what [`ByStatus`] does by default.
    pub fn new(circuit: Circuit) -> Self {
        Self::assembled(Settings::new(circuit, ByStatus::default()))
    }
}

impl<C> CircuitBreakerLayer<C> {
    /// Says which gRPC codes and HTTP statuses are failures.
    pub fn with_statuses(self, statuses: ByStatus) -> CircuitBreakerLayer<ByStatus> {
        self.classified(statuses)
    }

    /// Says what the outcome of a call is.
    ///
    /// ```
    /// use tower_plugin_ratelimit::client::{CircuitBreakerLayer, Head, Outcome};
    ///
    /// let layer = CircuitBreakerLayer::default().with_classify(
    ///     |result: Result<Head<'_>, &std::io::Error>| match result {
    ///         Ok(head) if head.status().is_server_error() => Outcome::Failure,
    ///         Ok(_) => Outcome::Success,
    ///         Err(_) => Outcome::Failure,
    ///     },
    /// );
    /// # let _ = layer;
    /// ```
    pub fn with_classify<E, F>(self, classify: F) -> CircuitBreakerLayer<F>
    where
        F: Fn(Result<Head<'_>, &E>) -> Outcome,
    {
        self.classified(classify)
    }

    /// Calls back on every change, in their order and holding no lock.
    ///
    /// It runs where the change was found, in the middle of a call: hand on what takes time. What
    /// changes meanwhile is told by the same thread afterwards; of more than 64 such changes the oldest
    /// are forgotten. A panic in it is logged and goes no further.
    pub fn with_on_change(mut self, on_change: impl Fn(Change) + Send + Sync + 'static) -> Self {
        self.settings.on_change = Some(Arc::new(on_change));
        Self::assembled(self.settings)
    }

    /// Sets the clock that the time to stay open is measured with.
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.clock = Arc::new(clock);
        Self::assembled(self.settings)
    }

    /// The state of the circuit, as of the last call: an open circuit that nobody calls stays open.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.shared.phase()
    }

    fn classified<D>(self, classify: D) -> CircuitBreakerLayer<D> {
        CircuitBreakerLayer::assembled(Settings {
            circuit: self.settings.circuit,
            clock: self.settings.clock,
            on_change: self.settings.on_change,
            classify: Arc::new(classify),
        })
    }

    /// A layer that is set up differently is a circuit of its own.
    fn assembled(settings: Settings<C>) -> Self {
        Self {
            settings,
            shared: Arc::default(),
        }
    }
}

/// The default [`Circuit`].
impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new(Circuit::default())
    }
}

impl<C> Clone for CircuitBreakerLayer<C> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, C> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let breaker = Breaker::new(self.settings.clone(), Arc::clone(&self.shared));
        CircuitBreaker::new(inner, Arc::new(breaker))
    }
}

impl<C> fmt::Debug for CircuitBreakerLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("circuit", &self.settings.circuit)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
