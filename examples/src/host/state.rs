use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::Clock;
use tower_plugin_ratelimit::EitherLimiter;

use super::{
    Config, HostError, Readiness,
    admission::Admission,
    identity::Identities,
    limits::Limits,
    options::KnownPlugin,
    registry::{Registry, RegistryLimits},
};

/// What the services of one host share.
pub struct HostState {
    pub(super) admission: Admission,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) identities: Identities,
    pub(super) limits: Limits,
    pub(super) plugins: Vec<KnownPlugin>,
    pub(super) readiness: Readiness,
    // Held for one call of the engine, never across an await.
    pub(super) registry: Mutex<Registry>,
}

impl HostState {
    /// A host that knows nobody yet. With Redis, in a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`HostError`] if a setting is out of range or there is no randomness.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        Ok(Self {
            admission: config.admission,
            identities: Identities::new(config.token_ttl, Arc::clone(&clock))?,
            limits: Limits::new(config.quotas, config.redis.as_ref(), Arc::clone(&clock))?,
            clock,
            plugins: config.plugins,
            readiness: Readiness::default(),
            registry: Mutex::new(Registry::new(REGISTRY_LIMITS)),
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

const REGISTRY_LIMITS: RegistryLimits = RegistryLimits {
    registrations: 10_000,
    per_plugin: 32,
    per_service: 1000,
    plugins: 10_000,
};
