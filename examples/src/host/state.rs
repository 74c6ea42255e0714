use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use serde_json::Value;
use tower_plugin_auth::{
    Admission, CapabilityBroker, InvalidConfig, SystemRng, TokenEvent, Tokens,
    admission::manifest::ManifestErrorKind,
    audit::{self, AuditEvent, AuditSink, GrantUses},
    store::{SharedGrantStore, SharedStore},
    token::KeyRing,
};
use tower_plugin_core::{Clock, Principal};
use tower_plugin_ratelimit::{
    EitherLimiter,
    concurrency::{Concurrency, ConcurrencyLimitLayer},
    key,
};
use tower_plugin_validate::{RuleSet, body::BodyGuardLayer};

use super::{
    Config, HostCapability, HostError, Quotas, Readiness,
    allowed::{self, Allowed},
    audit::AuditLog,
    capabilities::Grants,
    directory::Directory,
    identity::{Identities, PLUGIN_KIND},
    limits::Limits,
    metrics::Telemetry,
    options::{Deadlines, KnownPlugin, ManagedPlugin, ServiceOptions},
    proxy::{self, Proxy},
    rpc::body_guard,
    stores::{Kept, Stores, stores},
    watch::Revocations,
};

/// What the services of one host share.
pub struct HostState {
    pub(super) admission: Admission,
    pub(super) allowed: Allowed,
    pub(super) audit: Option<Arc<AuditLog>>,
    pub(super) body: BodyGuardLayer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadlines: Deadlines,
    pub(super) directory: Arc<Directory>,
    // What protection is left off.
    pub(super) gaps: Vec<&'static str>,
    pub(super) grants: Grants,
    pub(super) identities: Identities,
    pub(super) grant_capacity: usize,
    pub(super) is_kept: AtomicBool,
    // What the stores hold.
    pub(super) kept: Kept,
    pub(super) limits: Limits,
    pub(super) managed: Vec<ManagedPlugin>,
    pub(super) plugins: Vec<KnownPlugin>,
    pub(super) proxy: Proxy,
    pub(super) public_metrics: bool,
    pub(super) readiness: Readiness,
    pub(super) require_tls: bool,
    pub(super) revocations: Arc<Revocations>,
    // What the head of a request is checked by.
    pub(super) rules: RuleSet,
    services: ServiceOptions,
    pub(super) telemetry: Telemetry,
    pub(super) token_capacity: usize,
    pub(super) watching: ConcurrencyLimitLayer<key::Principal>,
}

impl HostState {
    /// A host that knows nobody yet. With Redis, in a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`HostError`] if a setting is out of range or there is no randomness.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        let gaps = config.gaps();
        for (index, plugin) in config.managed.iter().enumerate() {
            let mut earlier = config.managed.iter().take(index);
            if earlier.any(|other| other.name == plugin.name) {
                return Err(HostError::ManagedTwice(plugin.name.clone()));
            }
        }
        let directory = Arc::new(Directory::new(
            config.registry,
            config.selection,
            Arc::clone(&clock),
        ));
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
        let Stores {
            tokens,
            grants,
            kept,
        } = stores(
            config.redis.as_ref(),
            &config.tokens,
            config.grants.capacity,
            &clock,
        )?;
        let ring = || match &config.token_keys {
            Some(keys) => keys.ring().ok_or(HostError::Keys),
            None => Ok(KeyRing::random(&SystemRng)?),
        };
        let grant_uses = config
            .audit
            .as_ref()
            .map_or(GrantUses::None, |audit| audit.grant_uses);
        let audit = match config.audit {
            Some(audit) => Some(Arc::new(AuditLog::open(audit, Arc::clone(&clock))?)),
            None => None,
        };
        let telemetry = Telemetry::new(Arc::clone(&clock));
        let limits = Limits::new(config.quotas, config.redis.as_ref(), Arc::clone(&clock))?;
        let log = || Sink(audit.clone());
        // One store: whoever is put in quarantine loses in it what he was granted, and is granted nothing more.
        let admission =
            config
                .admission
                .open(Arc::clone(&clock), audit::admission(log()), grants.clone())?;
        // On Redis there may be as many of the ones as of the others.
        let grant_capacity = match &kept {
            Kept::Here { .. } => config.grants.capacity,
            Kept::OnRedis { .. } => config.tokens.capacity,
        };
        let grants = Grants::new(
            config.grants,
            grants,
            ring()?,
            Arc::clone(&clock),
            audit::grants_with_uses(log(), grant_uses),
            {
                let admission = admission.clone();
                move |plugin: &Principal| admission.is_barred(plugin)
            },
        )?;
        let identities = Identities::new(config.tokens, tokens, ring()?, Arc::clone(&clock), {
            let write_down = audit::tokens(log());
            move |event: &TokenEvent<'_>| {
                observe(event);
                write_down(event);
            }
        })?;
        Ok(Self {
            admission,
            allowed: Allowed::new(&config.services)?,
            audit,
            body: body_guard()?,
            deadlines: config.deadlines,
            directory,
            gaps,
            grants,
            grant_capacity,
            identities,
            is_kept: AtomicBool::new(false),
            kept,
            limits,
            clock,
            managed: config.managed,
            plugins: config.plugins,
            proxy: Proxy::new(config.proxy)?,
            public_metrics: config.public_metrics,
            readiness: Readiness::default(),
            require_tls: config.require_tls,
            revocations,
            rules: proxy::rules(config.head)?,
            services: config.services,
            telemetry,
            token_capacity: config.tokens.capacity,
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
    pub fn tokens(&self) -> &Tokens<SharedStore> {
        self.identities.tokens()
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

    /// Who may join, to put somebody in quarantine.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Waits until what was recorded is in the audit log, for some seconds; whether it is. It blocks.
    #[must_use]
    pub fn flush_audit(&self) -> bool {
        self.audit.as_ref().is_none_or(|log| log.flush())
    }

    /// Puts other quotas into force while the host serves, and says in the log which have changed; if they cannot
    /// be, those in force stay. What callers owe, they go on owing.
    pub fn set_quotas(&self, quotas: Quotas) {
        match self.limits.set(quotas) {
            Ok(changed) => {
                tracing::info!(changed = changed.join(" "), "the quotas were read again");
            }
            Err(error) => tracing::error!(%error, "the quotas were not read again"),
        }
    }

    /// Reads the manifest again, if plugins are admitted by one, and says in the log what came of it; whatever
    /// is wrong with it, the one in force stays. It blocks.
    pub fn reload_manifest(&self) {
        match self.admission.load_manifest() {
            Ok(_) => tracing::info!("the manifest was read again"),
            Err(error) if error.kind() == ManifestErrorKind::NotInUse => {}
            Err(error) => tracing::error!(%error, "the manifest was not read again"),
        }
    }

    /// Says in the log what protection is left off here, each in a line, and what nobody may do; to be called once.
    pub fn warn_of_what_is_missing(&self) {
        if self.admission.is_open() {
            tracing::warn!("everybody is admitted: --open-admission, or an admission file");
        }
        for gap in &self.gaps {
            tracing::warn!("{gap}");
        }
        allowed::tell(&self.services);
    }

    /// What is granted to plugins, to revoke it.
    #[must_use]
    pub fn broker(&self) -> &CapabilityBroker<SharedGrantStore> {
        self.grants.broker()
    }

    /// Offers plugins something of the host's, in the place of another of the same type; before the host is
    /// [built](super::build).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it permits nothing, or there are 1024 capabilities already.
    pub fn offer(&self, capability: HostCapability) -> Result<(), InvalidConfig> {
        self.grants.offer(capability)
    }

    /// What the administration says of grants.
    pub(super) fn grant_figures(&self) -> Value {
        let alive = self.kept.grants_alive();
        self.grants.figures(alive, self.grant_capacity)
    }

    pub(super) fn registrations(&self) -> usize {
        self.directory.len()
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

/// Streams of changes that one plugin may have open at a time, of both kinds together.
const MAX_WATCHES: u32 = 16;
const MAX_WATCHES_IN_ALL: usize = 1024;

/// The audit log, or nothing.
struct Sink(Option<Arc<AuditLog>>);

impl AuditSink for Sink {
    fn record(&self, event: &AuditEvent<'_>) {
        if let Some(log) = &self.0 {
            log.record(event);
        }
    }
}
