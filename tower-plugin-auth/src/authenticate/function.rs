use std::{
    fmt,
    future::{Future, Ready},
};

use tower_plugin_core::{Principal, RequestHead};

use super::{AuthError, Authenticator};
use crate::Answer;

/// Authenticates with a closure that answers at once.
///
/// ```
/// use tower_plugin_auth::{AuthError, AuthLayer, Principal, authenticate::from_fn};
///
/// // Behind a proxy that terminates mTLS and overwrites this header.
/// let layer = AuthLayer::new(from_fn(|request| {
///     let name = request.headers.get("x-verified-client").ok_or(AuthError::Missing)?;
///     let name = name.to_str().map_err(|_| AuthError::InvalidRequest)?;
///     Ok(Principal::new("mtls", name))
/// }));
/// # let _ = layer;
/// ```
#[must_use]
pub fn from_fn<F>(authenticate: F) -> FromFn<F>
where
    F: Fn(&RequestHead<'_>) -> Result<Principal, AuthError>,
{
    FromFn { authenticate }
}

/// Authenticates with a closure that has to wait for its answer.
///
/// The future may not borrow the request: take out of it what is needed first.
///
/// ```
/// use tower_plugin_auth::{AuthError, AuthLayer, Principal, authenticate::from_async_fn};
/// # async fn look_up(key: http::HeaderValue) -> Option<String> { None }
///
/// let layer = AuthLayer::new(from_async_fn(|request| {
///     let key = request.headers.get("x-api-key").cloned();
///     async move {
///         let customer = look_up(key.ok_or(AuthError::Missing)?).await;
///         Ok(Principal::new("api-key", customer.ok_or(AuthError::Missing)?))
///     }
/// }));
/// # let _ = layer;
/// ```
#[must_use]
pub fn from_async_fn<F, Fut>(authenticate: F) -> FromAsyncFn<F>
where
    F: Fn(&RequestHead<'_>) -> Fut,
    Fut: Future<Output = Result<Principal, AuthError>>,
{
    FromAsyncFn { authenticate }
}

/// A closure that answers at once; see [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    authenticate: F,
}

impl<F> Authenticator for FromFn<F>
where
    F: Fn(&RequestHead<'_>) -> Result<Principal, AuthError>,
{
    type Future = Ready<Result<Principal, AuthError>>;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future> {
        Answer::Ready((self.authenticate)(request))
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// A closure that has to wait for its answer; see [`from_async_fn`].
#[derive(Clone, Copy)]
pub struct FromAsyncFn<F> {
    authenticate: F,
}

impl<F, Fut> Authenticator for FromAsyncFn<F>
where
    F: Fn(&RequestHead<'_>) -> Fut,
    Fut: Future<Output = Result<Principal, AuthError>>,
{
    type Future = Fut;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future> {
        Answer::Pending((self.authenticate)(request))
    }
}

impl<F> fmt::Debug for FromAsyncFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromAsyncFn").finish_non_exhaustive()
    }
}
