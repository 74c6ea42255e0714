use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use super::{BoxLookup, Found, InsertError, List, Revocation, StoreError, TokenStore};
use crate::{
    Answer,
    token::{Record, TokenId},
};

/// A store chosen at run time, e.g. memory or Redis by a flag. Clones share it.
///
/// An answer that is there at once stays so; what has to wait is boxed.
///
/// ```
/// use tower_plugin_auth::{MemoryStore, SystemRng, Tokens, store::SharedStore, token::KeyRing};
///
/// let store = SharedStore::new(MemoryStore::new(100)?);
/// let tokens: Tokens<SharedStore> = Tokens::builder(store, KeyRing::random(&SystemRng)?).build()?;
/// # let _ = tokens;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SharedStore(Arc<dyn Erased>);

impl SharedStore {
    /// Takes the type off a store.
    #[must_use]
    pub fn new(store: impl TokenStore) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").finish_non_exhaustive()
    }
}

impl TokenStore for SharedStore {
    type Lookup = BoxLookup;

    fn get(&self, id: &TokenId) -> Answer<Found, Self::Lookup> {
        self.0.get(id)
    }

    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        self.0.insert(record, now)
    }

    fn update(
        &self,
        next: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        self.0.update(next, now)
    }

    fn take(&self, id: &TokenId) -> impl Future<Output = Found> + Send {
        self.0.take(*id)
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        self.0.revoke(revocation).await
    }

    async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        self.0.list(list).await
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.0.sweep(now)
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`TokenStore`] in a form that can be a trait object.
trait Erased: Send + Sync {
    fn get(&self, id: &TokenId) -> Answer<Found, BoxLookup>;
    fn insert(&self, record: Record, now: SystemTime) -> Boxed<'_, Result<(), InsertError>>;
    fn update(&self, next: Record, now: SystemTime) -> Boxed<'_, Result<bool, StoreError>>;
    fn take(&self, id: TokenId) -> Boxed<'_, Found>;
    fn revoke<'a>(&'a self, revocation: Revocation<'a>) -> Boxed<'a, Result<u64, StoreError>>;
    fn list<'a>(&'a self, list: &'a List<'_>) -> Boxed<'a, Result<Vec<Arc<Record>>, StoreError>>;
    fn sweep(&self, now: SystemTime) -> Boxed<'_, Result<u64, StoreError>>;
}

impl<S: TokenStore> Erased for S {
    fn get(&self, id: &TokenId) -> Answer<Found, BoxLookup> {
        match TokenStore::get(self, id) {
            Answer::Ready(found) => Answer::Ready(found),
            Answer::Pending(lookup) => Answer::Pending(Box::pin(lookup)),
        }
    }

    fn insert(&self, record: Record, now: SystemTime) -> Boxed<'_, Result<(), InsertError>> {
        Box::pin(TokenStore::insert(self, record, now))
    }

    fn update(&self, next: Record, now: SystemTime) -> Boxed<'_, Result<bool, StoreError>> {
        Box::pin(TokenStore::update(self, next, now))
    }

    fn take(&self, id: TokenId) -> Boxed<'_, Found> {
        Box::pin(async move { TokenStore::take(self, &id).await })
    }

    fn revoke<'a>(&'a self, revocation: Revocation<'a>) -> Boxed<'a, Result<u64, StoreError>> {
        Box::pin(TokenStore::revoke(self, revocation))
    }

    fn list<'a>(&'a self, list: &'a List<'_>) -> Boxed<'a, Result<Vec<Arc<Record>>, StoreError>> {
        Box::pin(TokenStore::list(self, list))
    }

    fn sweep(&self, now: SystemTime) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(TokenStore::sweep(self, now))
    }
}
