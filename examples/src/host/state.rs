use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::Clock;
use tower_plugin_ratelimit::EitherLimiter;
use tower_plugin_validate::{RuleSet, limits::Limits as HeadLimits};

use super::{
    Config, HostError, Readiness,
    admission::Admission,
    identity::Identities,
    limits::Limits,
    metrics::Telemetry,
    options::{Deadlines, KnownPlugin},
    registry::Registry,
};

/// What the services of one host share.
pub struct HostState {
    pub(super) admission: Admission,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadlines: Deadlines,
    head: HeadLimits,
    pub(super) identities: Identities,
    pub(super) limits: Limits,
    pub(super) plugins: Vec<KnownPlugin>,
    pub(super) public_metrics: bool,
    pub(super) readiness: Readiness,
    // Held for one call of the engine, never across an await.
    pub(super) registry: Mutex<Registry>,
    pub(super) require_tls: bool,
    pub(super) telemetry: Telemetry,
}

impl HostState {
    /// A host that knows nobody yet. With Redis, in a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`HostError`] if a setting is out of range or there is no randomness.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        let telemetry = Telemetry::new(clock.wall());
        let limits = telemetry
            .locally(|| Limits::new(config.quotas, config.redis.as_ref(), Arc::clone(&clock)))?;
        Ok(Self {
            admission: config.admission,
            deadlines: config.deadlines,
            head: config.head,
            identities: Identities::new(config.tokens, Arc::clone(&clock))?,
            limits,
            clock,
            plugins: config.plugins,
            public_metrics: config.public_metrics,
            readiness: Readiness::default(),
            registry: Mutex::new(Registry::new(config.registry)),
            require_tls: config.require_tls,
            telemetry,
        })
    }

    /// Gives Redis, if it is used, a second to be there, and says in the log if it is not.
    ///
    /// The host serves all the same, and meanwhile limits as it was told to without Redis.
    pub async fn meet_redis(&self) {
        if let EitherLimiter::Right(redis) = &self.limits.limiter {
            // The log has it.
            let _unavailable = redis.connected().await;
        }
    }

    /// Whether the host takes requests: hand it to [`serve`](super::serve).
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// What is counted.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What the head of a request is checked by.
    pub(super) fn rules(&self) -> RuleSet {
        RuleSet::plugin().with_limits(self.head)
    }

    pub(super) fn tokens_alive(&self) -> usize {
        self.identities.tokens().store().len_live(self.clock.wall())
    }

    pub(super) fn registrations(&self) -> usize {
        self.registry.lock().len()
    }
}

impl fmt::Debug for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostState")
            .field("admission", &self.admission)
            .field("identities", &self.identities)
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
