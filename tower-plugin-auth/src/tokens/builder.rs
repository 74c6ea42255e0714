use std::{fmt, sync::Arc, time::Duration};

use tower_plugin_core::{Clock, SystemClock};

use super::{Inner, TokenEvent, Tokens, event::Observer, limits::Limits, meter::Checks};
use crate::{
    config::InvalidConfig,
    random::SystemRng,
    store::TokenStore,
    token::{KeyRing, Rng},
};

/// Settings of [`Tokens`], checked by [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_auth::{MemoryStore, SystemRng, Tokens, token::KeyRing};
///
/// let error = Tokens::builder(MemoryStore::new(10)?, KeyRing::random(&SystemRng)?)
///     .with_runtime_ttl(Duration::from_secs(5))
///     .build()
///     .unwrap_err();
/// assert_eq!(error.to_string(), "runtime_ttl must be between the floor of 1 minute and 10 years");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct TokensBuilder<S> {
    store: S,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    limits: Limits,
    observer: Observer,
}

impl<S: TokenStore> TokensBuilder<S> {
    pub(super) fn new(store: S, keys: KeyRing) -> Self {
        Self {
            store,
            keys,
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            limits: Limits::default(),
            observer: Observer::default(),
        }
    }

    /// How long runtime tokens live: 24 hours by default.
    pub fn with_runtime_ttl(mut self, ttl: Duration) -> Self {
        self.limits.runtime_ttl = ttl;
        self
    }

    /// How long grant tokens live: 1 hour by default.
    pub fn with_grant_ttl(mut self, ttl: Duration) -> Self {
        self.limits.grant_ttl = ttl;
        self
    }

    /// How long one-time tokens live: 5 minutes by default.
    pub fn with_one_time_ttl(mut self, ttl: Duration) -> Self {
        self.limits.one_time_ttl = ttl;
        self
    }

    /// Lets runtime and grant tokens die, too, when they have not been used for this long: never by
    /// default, and 30 minutes is a common choice.
    ///
    /// A use is written down at most once in an eighth of it, by the request that finds it due, so a
    /// token dies between seven eighths of it and the whole of it after its last use. Where the store
    /// cannot be written to, requests pass and the token dies as if it had not been used.
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(timeout);
        self
    }

    /// Lets no token live longer than this after the first of its family was issued, however often it
    /// is rotated: no limit by default.
    pub fn with_absolute_lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.absolute_lifetime = Some(lifetime);
        self
    }

    /// How long a token stays valid beside the one that has replaced it: 30 seconds by default, at
    /// most 1 hour. Zero ends it at once, and requests on their way with it. It should be longer than the
    /// clocks of replicas may ever be apart: one that is further ahead takes the old token for reused.
    pub fn with_overlap(mut self, overlap: Duration) -> Self {
        self.limits.overlap = overlap;
        self
    }

    /// Whether a token that is [reused](crate::token::InvalidReason::Reused) takes its whole family
    /// with it: yes by default, as nobody can tell the thief from the owner (RFC 9700, section 4.14.2).
    pub fn with_reuse_revoking_family(mut self, revokes: bool) -> Self {
        self.limits.reuse_revokes_family = revokes;
        self
    }

    /// Is told of everything that happens to tokens but for their being checked. It runs on the
    /// request's way: it must not block.
    pub fn with_observer(
        mut self,
        observe: impl Fn(&TokenEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Observer(Some(Arc::new(observe)));
        self
    }

    /// Lowers the floor of 1 minute under every lifetime, e.g. for tests.
    ///
    /// Insecure because a token that lives for seconds makes its owner fetch new ones all the time,
    /// and whoever watches that is tempted to make them live for ever.
    pub fn with_insecure_min_ttl(mut self, floor: Duration) -> Self {
        self.limits.min_ttl = floor;
        self
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](tower_plugin_core::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where secrets get their randomness, instead of the operating system.
    pub fn with_rng(mut self, rng: impl Rng + 'static) -> Self {
        self.rng = Arc::new(rng);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the first lifetime that is zero, below the floor or above 10 years, or an
    /// overlap above 1 hour.
    pub fn build(self) -> Result<Tokens<S>, InvalidConfig> {
        let Self {
            store,
            keys,
            clock,
            rng,
            limits,
            observer,
        } = self;
        limits.check()?;
        Ok(Tokens(Arc::new(Inner {
            store,
            keys,
            clock,
            rng,
            limits,
            observer,
            checks: Checks::default(),
        })))
    }
}

impl<S: fmt::Debug> fmt::Debug for TokensBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokensBuilder")
            .field("store", &self.store)
            .field("keys", &self.keys)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
