//! Finds out who is calling, before anything else runs.

use std::future::Future;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, Entry},
    request::Parts,
};
use tower_plugin_core::Principal;

use crate::Answer;

mod bearer;
mod error;
mod function;
mod future;
mod layer;
mod service;

pub use bearer::{BearerAuthenticator, BearerFuture, RUNTIME_ID};
pub use error::AuthError;
pub use function::{FromAsyncFn, FromFn, from_async_fn, from_fn};
pub use future::ResponseFuture;
pub use layer::AuthLayer;
pub use service::Auth;

/// Finds out who sent a request from its head.
///
/// Implemented by [`BearerAuthenticator`] and, through [`from_fn`] and [`from_async_fn`], by closures.
#[diagnostic::on_unimplemented(
    note = "wrap a closure in `tower_plugin_auth::authenticate::from_fn` or `from_async_fn`"
)]
pub trait Authenticator {
    /// An answer that has to wait. It borrows nothing: take what it needs out of the request first.
    type Future: Future<Output = Result<Principal, AuthError>>;

    /// Names the caller, or says why not. Called once per request.
    ///
    /// # Errors
    ///
    /// The answer holds an [`AuthError`] for whoever is not to be let in. An authenticator that cannot
    /// tell answers [`AuthError::Unavailable`] and never guesses.
    fn authenticate(&self, request: &Parts) -> Answer<Result<Principal, AuthError>, Self::Future>;

    /// Marks the credentials among the headers as sensitive, so that nothing further in shows them in
    /// its `Debug` output. By default that is every `Authorization` header.
    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        if let Entry::Occupied(mut values) = headers.entry(AUTHORIZATION) {
            for value in values.iter_mut() {
                value.set_sensitive(true);
            }
        }
    }
}
