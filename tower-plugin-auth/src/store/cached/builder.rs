use std::{fmt, sync::Arc, time::Duration};

use tower_plugin_core::{Clock, SystemClock};

use super::{CachedStore, cache::Cache};
use crate::{config::InvalidConfig, store::TokenStore};

/// Settings of a [`CachedStore`], checked when it is built.
#[must_use]
pub struct CachedStoreBuilder {
    pub(super) capacity: u64,
    pub(super) revocation_bound: Duration,
    pub(super) degraded_age: Duration,
    pub(super) max_age: Duration,
    pub(super) negative_age: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl CachedStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            capacity: 100_000,
            revocation_bound: Duration::from_secs(2),
            degraded_age: Duration::from_millis(500),
            max_age: Duration::from_secs(30),
            negative_age: Duration::from_secs(2),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// How many records it remembers: 100,000 by default. A tenth as many ids without a record have a
    /// place of their own, so that guessing crowds nobody out.
    pub fn with_capacity(mut self, capacity: u64) -> Self {
        self.capacity = capacity;
        self
    }

    /// The longest that a revoked token may still be accepted: 2 seconds by default, between 100
    /// milliseconds and 1 minute. Connections are tested four times as often.
    pub fn with_revocation_bound(mut self, bound: Duration) -> Self {
        self.revocation_bound = bound;
        self
    }

    /// The age up to which records are served while no news of changes arrive: 500 milliseconds by
    /// default. Zero asks the store every time; more than the revocation bound is refused.
    pub fn with_degraded_age(mut self, age: Duration) -> Self {
        self.degraded_age = age;
        self
    }

    /// The age up to which records are served at all: 30 seconds by default, at most 1 hour.
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How long it is remembered that there is no such token: 2 seconds by default, at most 1 minute;
    /// zero remembers nothing of the kind.
    pub fn with_negative_age(mut self, age: Duration) -> Self {
        self.negative_age = age;
        self
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](tower_plugin_core::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Puts it in front of a store. Feed its [invalidator](CachedStore::invalidator), or nothing is
    /// ever older than the degraded age.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the first setting outside its range.
    pub fn build<S: TokenStore>(self, store: S) -> Result<CachedStore<S>, InvalidConfig> {
        Ok(CachedStore::new(store, self.cache()?))
    }

    pub(super) fn cache(self) -> Result<Arc<Cache>, InvalidConfig> {
        if self.capacity == 0 {
            return Err(InvalidConfig::new("capacity", "at least 1"));
        }
        if !(Duration::from_millis(100)..=MINUTE).contains(&self.revocation_bound) {
            return Err(InvalidConfig::new(
                "revocation_bound",
                "between 100 milliseconds and 1 minute",
            ));
        }
        if self.degraded_age > self.revocation_bound {
            return Err(InvalidConfig::new(
                "degraded_age",
                "at most the revocation bound",
            ));
        }
        if self.max_age.is_zero() || self.max_age > 60 * MINUTE {
            return Err(InvalidConfig::new("max_age", "above 0 and at most 1 hour"));
        }
        if self.negative_age > MINUTE {
            return Err(InvalidConfig::new("negative_age", "at most 1 minute"));
        }
        Ok(Arc::new(Cache::new(self)))
    }
}

impl fmt::Debug for CachedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStoreBuilder")
            .field("capacity", &self.capacity)
            .field("revocation_bound", &self.revocation_bound)
            .field("degraded_age", &self.degraded_age)
            .field("max_age", &self.max_age)
            .field("negative_age", &self.negative_age)
            .finish_non_exhaustive()
    }
}

const MINUTE: Duration = Duration::from_secs(60);
