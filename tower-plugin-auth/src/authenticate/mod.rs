//! Finds out who is calling, before anything else runs.
//!
//! An [`Authenticator`] looks at the head of a request and names a [`Principal`] or says why not.
//! [`BearerAuthenticator`] accepts issued tokens, [`ApiKeyAuthenticator`] a fixed set of keys,
//! `MtlsAuthenticator` (feature `mtls`) client certificates, and [`from_fn`] and [`from_async_fn`] whatever
//! a closure does. [`FirstOf`] accepts one of several, `Deadline` (feature `deadline`) bounds one that takes
//! its time.
//!
//! [`AuthLayer`] asks it once for each request, and calls the inner service once or not at all. What the
//! inner service answers, errors included, is not the layer's business.

use std::{borrow::Cow, future::Future};

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use tower_plugin_core::{Principal, RequestHead};

use crate::{Answer, refusal::BEARER};

mod api_key;
mod bearer;
mod credential;
#[cfg(feature = "deadline")]
mod deadline;
mod error;
mod first_of;
mod function;
mod future;
mod gate;
mod layer;
#[cfg(feature = "mtls")]
mod mtls;
mod service;
#[cfg(feature = "tower-http")]
mod tower_http;

pub use api_key::{ApiKeyAuthenticator, ApiKeys, InvalidApiKeys};
pub use bearer::{BearerAuthenticator, BearerFuture, RUNTIME_ID};
pub use credential::CredentialHeader;
#[cfg(feature = "deadline")]
pub use deadline::{Deadline, DeadlineFuture};
pub use error::{AuthError, CredentialProblem};
pub use first_of::{FirstOf, FirstOfBuilder, FirstOfFuture};
pub use function::{FromAsyncFn, FromFn, from_async_fn, from_fn};
pub use future::ResponseFuture;
pub use layer::AuthLayer;
#[cfg(feature = "mtls")]
pub use mtls::{Identity, IdentitySource, MtlsAuthenticator, identify, peer};
pub use service::Auth;

pub(crate) use gate::CredentialHeaders;
#[cfg(feature = "tower-http")]
pub use tower_http::{Authorizing, RequestAuthorizer};

/// Finds out who sent a request from its head.
///
/// All services of a layer share one, so that it has to be `Sync` where they are to be sent to other threads.
///
/// Implemented by [`BearerAuthenticator`] and its siblings and, through [`from_fn`] and
/// [`from_async_fn`], by closures.
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
    /// tell answers [`AuthError::Unavailable`] and never guesses. [`AuthError::Missing`] is for requests
    /// without a credential of the kind it accepts, and for those alone: in [`FirstOf`] it is the next
    /// one's turn then, and an [optional](AuthLayer::optional) layer lets the request pass.
    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future>;

    /// Marks the credentials among the headers as sensitive, so that nothing further in shows them in
    /// its `Debug` output. By default that is every `Authorization` header, whether it is read or not.
    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        credential::mark_sensitive(headers, &AUTHORIZATION);
    }

    /// The headers in which it looks for credentials, asked when a layer is built. Behind a
    /// [`CapabilityLayer`](crate::CapabilityLayer) nobody gets to see them. By default `Authorization`; one that
    /// reads another has to say so.
    fn credential_headers(&self) -> Vec<HeaderName> {
        vec![AUTHORIZATION]
    }

    /// The schemes named in challenges (RFC 9110, section 11.3), asked when a layer is built. `Bearer`
    /// by default.
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![Cow::Borrowed(BEARER)]
    }

    /// Whether an answer that has to wait is never [`AuthError::Missing`]. [`FirstOf`] then need not
    /// keep a copy of the head for the next in line. `false` is always right, and the default.
    fn waits_only_for_credentials(&self) -> bool {
        false
    }
}
