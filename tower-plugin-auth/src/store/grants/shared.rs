use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use super::{Counted, Covers, FoundGrant, GrantRevocation, GrantStore, InsertGrantError};
use crate::{
    Answer,
    grant::{GrantRecord, Uses},
    store::StoreError,
    token::TokenId,
};

/// A store of grants chosen at run time, e.g. memory or Redis by a flag. Clones share it.
///
/// An answer that is there at once stays so; what has to wait is boxed.
#[derive(Clone)]
pub struct SharedGrantStore(Arc<dyn Erased>);

impl SharedGrantStore {
    /// Takes the type off a store.
    #[must_use]
    pub fn new(store: impl GrantStore) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for SharedGrantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedGrantStore").finish_non_exhaustive()
    }
}

impl GrantStore for SharedGrantStore {
    type Lookup = Boxed<'static, FoundGrant>;
    type Using = Boxed<'static, Result<Counted, StoreError>>;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup> {
        self.0.get(id)
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Self::Using> {
        self.0.count_use(id, uses)
    }

    fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertGrantError>> + Send {
        self.0.insert(record, max_per_principal, now)
    }

    async fn revoke(&self, revocation: GrantRevocation<'_>) -> Result<u64, StoreError> {
        self.0.revoke(revocation).await
    }

    async fn revoke_where(&self, covers: Covers<'_>) -> Result<u64, StoreError> {
        self.0.revoke_where(covers).await
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.0.sweep(now)
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`GrantStore`] in a form that can be a trait object.
trait Erased: Send + Sync {
    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Boxed<'static, FoundGrant>>;
    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Boxed<'static, Result<Counted, StoreError>>>;
    fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> Boxed<'_, Result<(), InsertGrantError>>;
    fn revoke<'a>(&'a self, revocation: GrantRevocation<'a>) -> Boxed<'a, Result<u64, StoreError>>;
    fn revoke_where<'a>(&'a self, covers: Covers<'a>) -> Boxed<'a, Result<u64, StoreError>>;
    fn sweep(&self, now: SystemTime) -> Boxed<'_, Result<u64, StoreError>>;
}

impl<S: GrantStore> Erased for S {
    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Boxed<'static, FoundGrant>> {
        boxed(GrantStore::get(self, id))
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Boxed<'static, Result<Counted, StoreError>>> {
        boxed(GrantStore::count_use(self, id, uses))
    }

    fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> Boxed<'_, Result<(), InsertGrantError>> {
        Box::pin(GrantStore::insert(self, record, max_per_principal, now))
    }

    fn revoke<'a>(&'a self, revocation: GrantRevocation<'a>) -> Boxed<'a, Result<u64, StoreError>> {
        Box::pin(GrantStore::revoke(self, revocation))
    }

    fn revoke_where<'a>(&'a self, covers: Covers<'a>) -> Boxed<'a, Result<u64, StoreError>> {
        Box::pin(GrantStore::revoke_where(self, covers))
    }

    fn sweep(&self, now: SystemTime) -> Boxed<'_, Result<u64, StoreError>> {
        Box::pin(GrantStore::sweep(self, now))
    }
}

fn boxed<T, F>(answer: Answer<T, F>) -> Answer<T, Boxed<'static, T>>
where
    F: Future<Output = T> + Send + 'static,
{
    match answer {
        Answer::Ready(value) => Answer::Ready(value),
        Answer::Pending(future) => Answer::Pending(Box::pin(future)),
    }
}
