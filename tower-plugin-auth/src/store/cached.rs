use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Found, InsertError, List, Revocation, StoreError, TokenStore};
use crate::{
    Answer,
    token::{Record, TokenId},
};

mod builder;
mod cache;
mod lookup;
mod stats;

pub use builder::CachedStoreBuilder;
pub use cache::Invalidator;
pub use lookup::CachedLookup;
pub use stats::CacheStats;

use cache::Cache;

/// Remembers what another store has said, and forgets it as soon as that changes.
///
/// What is remembered are records, never verdicts: each token is checked against its digest every time,
/// and its life against the clock. That a token does not exist is remembered, too, but for
/// [a short while](CachedStoreBuilder::with_negative_age) only. Lookups of one token at the same time
/// become one.
///
/// # How long a revoked token may still be accepted
///
/// Never longer than the [bound](CachedStoreBuilder::with_revocation_bound), 2 seconds by default: a
/// record is served only while an [`Invalidator`] has heard, not longer ago than that, that nothing has
/// been missed. Where the news arrive, which takes a millisecond or so, the token is refused from
/// then on. When no news arrive, nothing is served that is older than the
/// [degraded age](CachedStoreBuilder::with_degraded_age): the store is asked, and when that is down,
/// too, nobody knows, which is [`StoreError`] and not a refusal.
///
/// What is revoked through this very store, or a clone of it, is refused when the call returns.
///
/// Make one by `RedisStore::cached`, or feed the [invalidator](Self::invalidator) of one around a
/// store of your own.
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_auth::{MemoryStore, store::CachedStore};
///
/// let cached = CachedStore::builder()
///     .with_revocation_bound(Duration::from_secs(1))
///     .build(MemoryStore::new(100)?)?;
/// assert_eq!(cached.revocation_bound(), Duration::from_secs(1));
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
pub struct CachedStore<S> {
    store: S,
    cache: Arc<Cache>,
    /// Ends what feeds the invalidator, with the last clone.
    #[cfg(feature = "redis")]
    watcher: Option<Arc<super::redis::Watcher>>,
}

impl CachedStore<()> {
    /// Starts from the defaults.
    pub fn builder() -> CachedStoreBuilder {
        CachedStoreBuilder::new()
    }
}

impl<S: TokenStore> CachedStore<S> {
    fn new(store: S, cache: Arc<Cache>) -> Self {
        Self {
            store,
            cache,
            #[cfg(feature = "redis")]
            watcher: None,
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn watched_by(mut self, watcher: super::redis::Watcher) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }

    /// What tells it of changes made elsewhere.
    #[must_use]
    pub fn invalidator(&self) -> Invalidator {
        Invalidator::new(Arc::clone(&self.cache))
    }

    /// The longest that a token is accepted after it was revoked, anywhere.
    #[must_use]
    pub fn revocation_bound(&self) -> Duration {
        self.cache.revocation_bound()
    }

    /// Whether news of changes arrive. While they do not, the store is asked much more often.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.cache.is_live()
    }

    /// Figures for operators. Whether news arrive, and the lag in force, are what to raise an alarm by.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// The store underneath.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.store
    }
}

impl<S: TokenStore> TokenStore for CachedStore<S> {
    type Lookup = CachedLookup;

    fn get(&self, id: &TokenId) -> Answer<Found, CachedLookup> {
        match self.cache.get(id) {
            Some(record) => Answer::Ready(Ok(record)),
            None => lookup::start(&self.cache, &self.store, id),
        }
    }

    async fn insert(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        let id = record.id();
        let inserted = self.store.insert(record, now).await;
        self.cache.forget(&id);
        inserted
    }

    async fn update(&self, next: Record, now: SystemTime) -> Result<bool, StoreError> {
        let id = next.id();
        let updated = self.store.update(next, now).await;
        self.cache.forget(&id);
        updated
    }

    async fn take(&self, id: &TokenId) -> Found {
        let taken = self.store.take(id).await;
        self.cache.forget(id);
        taken
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        let revoked = self.store.revoke(revocation).await;
        match revocation {
            Revocation::Tokens(ids) => ids.iter().for_each(|id| self.cache.forget(id)),
            _ => self.cache.flush(),
        }
        revoked
    }

    async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        self.store.list(list).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.store.sweep(now).await
    }
}

impl<S: Clone> Clone for CachedStore<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            cache: Arc::clone(&self.cache),
            #[cfg(feature = "redis")]
            watcher: self.watcher.clone(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.store)
            .field("is_live", &self.cache.is_live())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
