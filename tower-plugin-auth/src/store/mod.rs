//! Where the records of tokens are kept.

use std::{future::Future, sync::Arc, time::SystemTime};

use crate::{
    Answer,
    token::{Record, TokenId},
};

mod error;
mod memory;

pub use error::{InsertError, StoreError};
pub use memory::MemoryStore;

/// Keeps the [records](Record) of issued tokens, each under its public id.
///
/// A store never decides whether a token is valid: it hands back what it knows, expired or not, and
/// [`check`](crate::token::check) decides. What a store cannot answer is an error, never `None`: `None`
/// means the token does not exist and its bearer is refused.
///
/// Share one store between everything that issues and everything that checks: clone the
/// [`Tokens`](crate::Tokens) around it, or put it in an [`Arc`].
pub trait TokenStore: Send + Sync + 'static {
    /// A lookup that has to wait.
    type Lookup: Future<Output = Found> + Send + 'static;

    /// Looks up a record. Answer at once where possible: then nothing on a request's way is boxed.
    fn get(&self, id: &TokenId) -> Answer<Found, Self::Lookup>;

    /// Keeps a new record. Nothing may ever be overwritten, not even an expired record.
    ///
    /// `now` is the time by which a store with a capacity tells the dead from the living.
    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send;

    /// Forgets a record; whether there was one.
    fn revoke(&self, id: &TokenId) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

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

    fn revoke(&self, id: &TokenId) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).revoke(id)
    }
}
