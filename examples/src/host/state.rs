use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use tower_plugin_auth::{MemoryStore, TokenEvent, Tokens};
use tower_plugin_core::Clock;
use tower_plugin_ratelimit::{
    EitherLimiter,
    concurrency::{Concurrency, ConcurrencyLimitLayer},
    key,
};
use tower_plugin_validate::RuleSet;

use super::{
    Config, HostError, Readiness,
    admission::Admission,
    directory::Directory,
    identity::{Identities, PLUGIN_KIND},
    limits::Limits,
    options::KnownPlugin,
    proxy::{self, Proxy},
    registry::RegistryLimits,
    watch::Revocations,
};

/// What the services of one host share.
pub struct HostState {
    pub(super) admission: Admission,
    pub(super) directory: Arc<Directory>,
    pub(super) identities: Identities,
    pub(super) limits: Limits,
    pub(super) plugins: Vec<KnownPlugin>,
    pub(super) is_kept: AtomicBool,
    pub(super) proxy: Proxy,
    pub(super) readiness: Readiness,
    pub(super) revocations: Arc<Revocations>,
    pub(super) rules: RuleSet,
    pub(super) watching: ConcurrencyLimitLayer<key::Principal>,
}

impl HostState {
    /// A host that knows nobody yet. With Redis, in a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`HostError`] if a setting is out of range or there is no randomness.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        let directory = Arc::new(Directory::new(REGISTRY_LIMITS, Arc::clone(&clock)));
        let revocations = Arc::<Revocations>::default();
        let observe = {
            let (directory, revocations) = (Arc::clone(&directory), Arc::clone(&revocations));
            move |event: &TokenEvent<'_>| match event {
                TokenEvent::Rotated { record, .. } if record.principal().kind() == PLUGIN_KIND => {
                    let owner = record.principal().subject();
                    directory.renew(owner, record.id(), record.expires_at());
                }
                TokenEvent::Revoked { .. } | TokenEvent::Reused { .. } => revocations.tell(),
                _ => {}
            }
        };
        let watching = Concurrency::per_key(MAX_WATCHES)?
            .with_name("watches")?
            .with_total(MAX_WATCHES_IN_ALL)?;
        Ok(Self {
            admission: config.admission,
            directory,
            identities: Identities::new(config.token_ttl, Arc::clone(&clock), observe)?,
            limits: Limits::new(config.quotas, config.redis.as_ref(), clock)?,
            plugins: config.plugins,
            is_kept: AtomicBool::new(false),
            proxy: Proxy::new(config.proxy)?,
            readiness: Readiness::default(),
            revocations,
            rules: proxy::rules()?,
            watching: ConcurrencyLimitLayer::new(watching, key::Principal),
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

    /// The tokens of the plugins, to revoke or rotate them.
    ///
    /// What a plugin has registered and the streams it has open end with its tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens<MemoryStore> {
        self.identities.tokens()
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

/// Streams of changes that one plugin may have open at a time, of both kinds together.
const MAX_WATCHES: u32 = 16;
const MAX_WATCHES_IN_ALL: usize = 1024;
