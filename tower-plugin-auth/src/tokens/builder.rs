use std::{fmt, sync::Arc, time::Duration};

use tower_plugin_core::{Clock, SystemClock};

use super::{Inner, Tokens, limits::Limits};
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
}

impl<S: TokenStore> TokensBuilder<S> {
    pub(super) fn new(store: S, keys: KeyRing) -> Self {
        Self {
            store,
            keys,
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            limits: Limits {
                min_ttl: FLOOR,
                runtime_ttl: Duration::from_secs(24 * 60 * 60),
                grant_ttl: Duration::from_secs(60 * 60),
                one_time_ttl: Duration::from_secs(5 * 60),
            },
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
    /// [`InvalidConfig`] names the first lifetime that is zero, below the floor or above 10 years.
    pub fn build(self) -> Result<Tokens<S>, InvalidConfig> {
        let Self {
            store,
            keys,
            clock,
            rng,
            limits,
        } = self;
        if limits.min_ttl.is_zero() || limits.min_ttl > FLOOR {
            return Err(InvalidConfig::new(
                "min_ttl",
                "above 0 and at most 1 minute",
            ));
        }
        let range = if limits.min_ttl == FLOOR {
            "between the floor of 1 minute and 10 years"
        } else {
            "between min_ttl and 10 years"
        };
        for (field, ttl) in [
            ("runtime_ttl", limits.runtime_ttl),
            ("grant_ttl", limits.grant_ttl),
            ("one_time_ttl", limits.one_time_ttl),
        ] {
            if !limits.allows(ttl) {
                return Err(InvalidConfig::new(field, range));
            }
        }
        Ok(Tokens(Arc::new(Inner {
            store,
            keys,
            clock,
            rng,
            limits,
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

/// The shortest lifetime anyone needs outside a test.
const FLOOR: Duration = Duration::from_secs(60);
