use std::{fmt, future::Future, sync::Arc, time::SystemTime};

use super::StoreError;
use crate::{
    Answer,
    grant::{GrantRecord, LinkId, Uses},
    token::TokenId,
};

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod shared;

pub use memory::MemoryGrantStore;
#[cfg(feature = "redis")]
pub use redis::RedisGrantStore;
pub use shared::SharedGrantStore;

/// Keeps the [records](GrantRecord) of issued grants, each under its public id, and counts their uses.
///
/// A store never decides whether a grant is good for anything: it hands back what it knows, live or not, with the
/// links that were revoked, and [`check`](crate::grant::check()) decides. What a store cannot answer is an error, never
/// `None`. It may forget a record at its [end](GrantRecord::expires_at), and not sooner.
///
/// Each operation on one record is atomic: it has happened when it answers, and nobody ever sees half of it. After an
/// error nobody knows whether it has happened. A [revocation](Self::revoke) of many records is one such step for each
/// of them. `now` is the caller's wall clock, by which a store tells the dead from the living.
pub trait GrantStore: Send + Sync + 'static {
    /// A lookup that has to wait.
    type Lookup: Future<Output = FoundGrant> + Send + 'static;

    /// A use that has to wait.
    type Using: Future<Output = Result<Counted, StoreError>> + Send + 'static;

    /// Looks up a record. Answer at once where possible: then nothing on a request's way is boxed.
    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup>;

    /// Counts one use of the grant and of each of these links, or none of them if one is used up.
    ///
    /// Of any number of callers so many succeed as the smallest limit says. What is counted stays counted,
    /// whatever becomes of the request.
    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Self::Using>;

    /// Keeps a new record, if its principal has fewer than so many live ones. Nothing may ever be overwritten.
    fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertGrantError>> + Send;

    /// Forgets every record that the revocation covers, or notes down the link; how many records that concerned.
    ///
    /// When it answers, none of them is there, and none comes back. While it runs, one may be gone and another still
    /// there. After an error so may it be: what is gone stays gone, the rest is as good as before, and the same
    /// revocation again completes it, counting what was left.
    fn revoke(
        &self,
        revocation: GrantRevocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Goes through all records, and forgets those of which `covers` says so; how many that were.
    ///
    /// For incidents: it may take its time, need not be atomic, and may miss what is inserted meanwhile. One record
    /// that cannot be read or forgotten is an error, and no reason to leave the others. Without an implementation it
    /// answers that it cannot.
    fn revoke_where(
        &self,
        covers: Covers<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let _ = covers;
        std::future::ready(Err(StoreError::unavailable(
            "this store cannot go through its grants",
        )))
    }

    /// Drops what may be forgotten at `now`; how many records that were.
    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// Says which records [`revoke_where`](GrantStore::revoke_where) is to forget.
pub type Covers<'a> = &'a (dyn Fn(&GrantRecord) -> bool + Send + Sync);

/// What a store says of an id: a record, none, or that it cannot say.
pub type FoundGrant = Result<Option<Arc<GrantRecord>>, StoreError>;

/// Whether a use was counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Counted {
    /// There is no such grant any more.
    Gone,
    /// It was, and may go on.
    Used {
        /// How often it may go on after this, by the limit that is reached first; `None` if nothing is limited.
        left: Option<u32>,
    },
    /// Nothing was: the grant or one of the links is used up, or there are more than
    /// [`MAX_LINKS`] links to be counted.
    UsedUp,
}

/// Which grants are to be good for nothing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum GrantRevocation<'a> {
    /// All of one type of capability.
    Capability(&'a str),
    /// This one, and all that was derived from it.
    Grant(TokenId),
    /// One token of a grant, and all that was derived from that. The rest of the grant is as good as before. A
    /// grant of which more than [`MAX_LINKS`] links are to be revoked is revoked altogether.
    Link {
        /// The grant.
        grant: TokenId,
        /// The [link](crate::grant::GrantToken::link).
        link: LinkId,
    },
    /// All that were issued to one principal.
    Subject {
        /// Its [kind](crate::Principal::kind).
        kind: &'a str,
        /// Its [subject](crate::Principal::subject).
        subject: &'a str,
    },
}

/// Of how many links of one grant a store counts the uses, and of how many it remembers that they were revoked.
///
/// Who holds a token can derive as many as he likes. If he lets so many of them count, further ones of the same grant
/// are refused; tokens without a limit of their own are not.
pub const MAX_LINKS: usize = 64;

/// A grant was not kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum InsertGrantError {
    /// There is a record under this id, and it stays.
    AlreadyExists,
    /// As many live grants as the store may hold.
    Full,
    /// As many live grants as one principal may have.
    FullForPrincipal,
    /// The store could not be asked.
    Unavailable(StoreError),
}

impl From<StoreError> for InsertGrantError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

impl fmt::Display for InsertGrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists => f.write_str("grant id already exists"),
            Self::Full => f.write_str("grant store is full"),
            Self::FullForPrincipal => f.write_str("principal has as many grants as it may"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InsertGrantError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::AlreadyExists | Self::Full | Self::FullForPrincipal => None,
            Self::Unavailable(error) => error.source(),
        }
    }
}

impl<S: GrantStore> GrantStore for Arc<S> {
    type Lookup = S::Lookup;
    type Using = S::Using;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, S::Lookup> {
        (**self).get(id)
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, S::Using> {
        (**self).count_use(id, uses)
    }

    fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertGrantError>> + Send {
        (**self).insert(record, max_per_principal, now)
    }

    fn revoke(
        &self,
        revocation: GrantRevocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        (**self).revoke(revocation)
    }

    fn revoke_where(
        &self,
        covers: Covers<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        (**self).revoke_where(covers)
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        (**self).sweep(now)
    }
}
