//! Where the records of tokens and grants are kept.

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use crate::{
    Answer,
    token::{Record, TokenId},
};

#[cfg(feature = "cache")]
mod cached;
mod error;
#[cfg(all(feature = "encrypted-file", unix))]
mod file;
mod grants;
mod memory;
mod query;
#[cfg(feature = "redis")]
mod redis;
mod shared;

#[cfg(all(feature = "encrypted-file", unix))]
pub use crate::file::{FileKey, FileKeyRing, InvalidFileKey};
#[cfg(feature = "cache")]
pub use cached::{CacheStats, CachedLookup, CachedStore, CachedStoreBuilder, Invalidator};
pub use error::{InsertError, StoreError};
#[cfg(all(feature = "encrypted-file", unix))]
pub use file::{EncryptedFileStore, EncryptedFileStoreBuilder, FileError, FileErrorKind, sealed};
#[cfg(feature = "redis")]
pub use grants::RedisGrantStore;
pub use grants::{
    Counted, Covers, FoundGrant, GrantRevocation, GrantStore, InsertGrantError, MAX_LINKS,
    MemoryGrantStore, SharedGrantStore,
};
pub use memory::MemoryStore;
pub use query::{Cursor, Filter, List, Revocation};
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
pub use shared::SharedStore;

/// Keeps the [records](Record) of issued tokens, each under its public id.
///
/// A store never decides whether a token is valid: it hands back what it knows, live or not, and
/// [`check`](crate::token::check) decides. What a store cannot answer is an error, never `None`: `None`
/// means the token does not exist and its bearer is refused. It may forget a record at its
/// [`forget_at`](Record::forget_at), and not sooner unless it is dead and room is needed.
///
/// Each operation on one record is atomic: it has happened when it answers, and nobody ever sees half of
/// it. After an error nobody knows whether it has happened. A [revocation](Self::revoke) of many records
/// is one such step for each of them. `now` is the caller's wall clock, by which a store tells the dead
/// from the living.
///
/// Share one store between everything that issues and everything that checks: clone the
/// [`Tokens`](crate::Tokens) around it, or put it in an [`Arc`].
pub trait TokenStore: Send + Sync + 'static {
    /// A lookup that has to wait.
    type Lookup: Future<Output = Found> + Send + 'static;

    /// Looks up a record. Answer at once where possible: then nothing on a request's way is boxed.
    fn get(&self, id: &TokenId) -> Answer<Found, Self::Lookup>;

    /// Keeps a new record. Nothing may ever be overwritten, not even a dead record.
    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send;

    /// Puts the next version of a record in its place if the one kept is the
    /// [version](Record::version) before it; whether it was.
    fn update(
        &self,
        next: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes a record and hands it over: of any number of callers, to one.
    fn take(&self, id: &TokenId) -> impl Future<Output = Found> + Send;

    /// Forgets every record that the revocation [covers](Revocation::covers); how many there were.
    ///
    /// When it answers, none of them is there, and none comes back. It sees all of what is kept when it
    /// begins, and the successor of whatever it has not come to yet. Whoever inserts the successor of a
    /// record and then updates the record finds out, by the update failing, that a revocation came in
    /// between: so none of a family, of an owner or of an age escapes it by a rotation.
    ///
    /// While it runs, one record may be gone and another still there: each is found or not, and once
    /// not, never again. After an error so may it be: what is gone stays gone, the rest is as good as
    /// before, and the same revocation again completes it, counting what was left.
    fn revoke(
        &self,
        revocation: Revocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The records that a list [matches](List::matches), from its cursor on, in the order of their
    /// [cursors](Cursor); at most its [limit](List::limit) of them. Dead ones may be missing.
    fn list(
        &self,
        list: &List<'_>,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, StoreError>> + Send;

    /// Drops what may be forgotten at `now`; how many records that were.
    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// A lookup of no particular type.
pub type BoxLookup = Pin<Box<dyn Future<Output = Found> + Send>>;

/// What a store says of an id: a record, none, or that it cannot say.
pub type Found = Result<Option<Arc<Record>>, StoreError>;

impl<S: TokenStore> TokenStore for Arc<S> {
    type Lookup = S::Lookup;

    fn get(&self, id: &TokenId) -> Answer<Found, S::Lookup> {
        (**self).get(id)
    }

    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        (**self).insert(record, now)
    }

    fn update(
        &self,
        next: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).update(next, now)
    }

    fn take(&self, id: &TokenId) -> impl Future<Output = Found> + Send {
        (**self).take(id)
    }

    fn revoke(
        &self,
        revocation: Revocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        (**self).revoke(revocation)
    }

    fn list(
        &self,
        list: &List<'_>,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, StoreError>> + Send {
        (**self).list(list)
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        (**self).sweep(now)
    }
}
