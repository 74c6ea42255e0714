use std::{fmt, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tower_plugin_core::{Clock, Principal, SystemClock};

use super::{
    CapabilityBroker, DenyAll, GrantEvent, GrantPolicy, Inner, IsBarred, capability::FLOOR,
    event::Observer,
};
use crate::{
    config::InvalidConfig,
    random::SystemRng,
    store::GrantStore,
    token::{KeyRing, Rng},
};

/// Settings of a [`CapabilityBroker`], checked by [`build`](Self::build).
///
/// ```
/// use tower_plugin_auth::{CapabilityBroker, SystemRng, store::MemoryGrantStore, token::KeyRing};
///
/// let error = CapabilityBroker::builder(MemoryGrantStore::new(10)?, KeyRing::random(&SystemRng)?)
///     .with_max_per_principal(0)
///     .build()
///     .unwrap_err();
/// assert_eq!(error.to_string(), "max_per_principal must be between 1 and 10000");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct CapabilityBrokerBuilder<S> {
    store: S,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    policy: Arc<dyn GrantPolicy>,
    observer: Observer,
    is_barred: Option<IsBarred>,
    min_ttl: Duration,
    max_per_principal: usize,
}

impl<S: GrantStore> CapabilityBrokerBuilder<S> {
    pub(super) fn new(store: S, keys: KeyRing) -> Self {
        Self {
            store,
            keys,
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            policy: Arc::new(DenyAll),
            observer: Observer::default(),
            is_barred: None,
            min_ttl: FLOOR,
            max_per_principal: 100,
        }
    }

    /// Who gets what: nobody anything by default. [`AllowAll`](crate::authorize::AllowAll) is for hosts where
    /// everybody may have everything.
    pub fn with_policy(mut self, policy: impl GrantPolicy + 'static) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Who is granted nothing, whatever the policy says: e.g. whom
    /// [`Admission::is_barred`](crate::admission::Admission::is_barred) keeps out.
    ///
    /// It is asked before a grant is kept and once more before it is handed out. So of somebody who is barred first, and
    /// whose grants are revoked then, none is left, however many he asks for meanwhile. It must not block.
    pub fn with_barred(
        mut self,
        is_barred: impl Fn(&Principal) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.is_barred = Some(Arc::new(is_barred));
        self
    }

    /// How many live grants one principal may have: 100 by default, between 1 and 10,000.
    pub fn with_max_per_principal(mut self, count: usize) -> Self {
        self.max_per_principal = count;
        self
    }

    /// Is told of everything that happens to grants, their use and every refusal included. It runs on the
    /// request's way: it must not block.
    pub fn with_observer(
        mut self,
        observe: impl Fn(&GrantEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Observer(Some(Arc::new(observe)));
        self
    }

    /// Lowers the floor of 1 minute under every lifetime, e.g. for tests.
    ///
    /// Insecure because a grant that lives for seconds makes its holder ask for new ones all the time, and whoever
    /// watches that is tempted to make them live for ever.
    pub fn with_insecure_min_ttl(mut self, floor: Duration) -> Self {
        self.min_ttl = floor;
        self
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](tower_plugin_core::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where ids and salts get their randomness, instead of the operating system.
    pub fn with_rng(mut self, rng: impl Rng + 'static) -> Self {
        self.rng = Arc::new(rng);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the first setting outside its range.
    pub fn build(self) -> Result<CapabilityBroker<S>, InvalidConfig> {
        if self.min_ttl.is_zero() || self.min_ttl > FLOOR {
            return Err(InvalidConfig::new(
                "min_ttl",
                "above 0 and at most 1 minute",
            ));
        }
        if !(1..=10_000).contains(&self.max_per_principal) {
            return Err(InvalidConfig::new(
                "max_per_principal",
                "between 1 and 10000",
            ));
        }
        let Self {
            store,
            keys,
            clock,
            rng,
            policy,
            observer,
            is_barred,
            min_ttl,
            max_per_principal,
        } = self;
        Ok(CapabilityBroker(Arc::new(Inner {
            store,
            keys,
            clock,
            rng,
            policy,
            observer,
            is_barred,
            min_ttl,
            max_per_principal,
            capabilities: RwLock::default(),
        })))
    }
}

impl<S: fmt::Debug> fmt::Debug for CapabilityBrokerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapabilityBrokerBuilder")
            .field("store", &self.store)
            .field("keys", &self.keys)
            .field("min_ttl", &self.min_ttl)
            .field("max_per_principal", &self.max_per_principal)
            .finish_non_exhaustive()
    }
}
