use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, Request, request::Parts};
use tower_plugin_core::{Principal, RequestHead};

use super::{AuthError, Authenticator};
use crate::{Answer, config::InvalidConfig};

/// Asks several authenticators in turn; the first that finds a credential of its kind decides.
///
/// | One answers | and then |
/// |---|---|
/// | a principal | that is who is calling; the others are not asked |
/// | [`AuthError::Missing`] | the next is asked; after the last, the request has no credential |
/// | any other error | the request is refused with it; the others are not asked |
///
/// So a credential that is not accepted is never made up for by another, and a store that is down is 503
/// even where another authenticator would have accepted something. A challenge names the schemes of all of
/// them. Who asks more of a caller than one credential, a certificate *and* a token, stacks two
/// [`AuthLayer`](super::AuthLayer)s.
///
/// An answer that is there at once stays so; one that has to wait is boxed.
///
/// ```
/// use tower_plugin_auth::{AuthError, AuthLayer, Principal, authenticate::{FirstOf, from_fn}};
///
/// let by_badge = from_fn(|request| match request.headers.get("x-badge") {
///     Some(badge) if badge == "7" => Ok(Principal::new("badge", "7")),
///     _ => Err(AuthError::Missing),
/// });
/// let layer = AuthLayer::new(FirstOf::builder().or(by_badge).build()?);
/// # let _ = layer;
///
/// let nobody = FirstOf::builder().build().unwrap_err();
/// assert_eq!(nobody.to_string(), "authenticators must be at least one");
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct FirstOf(Arc<[Box<dyn Erased>]>);

impl FirstOf {
    /// Starts a list. Order matters only to callers who send several credentials.
    pub const fn builder() -> FirstOfBuilder {
        FirstOfBuilder(Vec::new())
    }

    /// Asks from this place on, until one finds a credential of its kind.
    fn ask(
        &self,
        mut at: usize,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, FirstOfFuture> {
        while let Some(authenticator) = self.0.get(at) {
            at += 1;
            match authenticator.authenticate(request) {
                Answer::Ready(Err(AuthError::Missing)) => {}
                Answer::Ready(decision) => return Answer::Ready(decision),
                Answer::Pending(waiting) => {
                    let is_final = at == self.0.len() || authenticator.waits_only_for_credentials();
                    return Answer::Pending(FirstOfFuture {
                        waiting,
                        rest: (!is_final).then(|| {
                            Box::new(Rest {
                                list: self.clone(),
                                at,
                                request: owned(request),
                            })
                        }),
                    });
                }
            }
        }
        Answer::Ready(Err(AuthError::Missing))
    }
}

impl Authenticator for FirstOf {
    type Future = FirstOfFuture;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, FirstOfFuture> {
        self.ask(0, request)
    }

    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        for authenticator in &*self.0 {
            authenticator.mark_sensitive(headers);
        }
    }

    fn credential_headers(&self) -> Vec<HeaderName> {
        let headers = self.0.iter().flat_map(|one| one.credential_headers());
        headers.collect()
    }

    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.0.iter().flat_map(|one| one.schemes()).collect()
    }
}

impl fmt::Debug for FirstOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstOf")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// A list of authenticators, to be checked by [`build`](Self::build).
#[must_use]
pub struct FirstOfBuilder(Vec<Box<dyn Erased>>);

impl FirstOfBuilder {
    /// Adds one to the end of the list.
    pub fn or<A>(mut self, authenticator: A) -> Self
    where
        A: Authenticator<Future: Send + 'static> + Send + Sync + 'static,
    {
        self.0.push(Box::new(authenticator));
        self
    }

    /// Checks the list.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it is empty: it would refuse everybody, which nobody means.
    pub fn build(self) -> Result<FirstOf, InvalidConfig> {
        if self.0.is_empty() {
            return Err(InvalidConfig::new("authenticators", "at least one"));
        }
        Ok(FirstOf(self.0.into()))
    }
}

impl fmt::Debug for FirstOfBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstOfBuilder")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// One of several authenticators waiting for its answer.
#[must_use = "futures do nothing unless polled"]
pub struct FirstOfFuture {
    waiting: BoxedDecision,
    /// Whom to ask if it finds no credential.
    rest: Option<Box<Rest>>,
}

struct Rest {
    list: FirstOf,
    at: usize,
    request: Parts,
}

fn owned(head: &RequestHead<'_>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = head.method.clone();
    parts.uri = head.uri.clone();
    parts.version = head.version;
    parts.headers = head.headers.clone();
    parts.extensions = head.extensions.clone();
    parts
}

impl Future for FirstOfFuture {
    type Output = Result<Principal, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match ready!(self.waiting.as_mut().poll(cx)) {
                Err(AuthError::Missing) => {}
                decision => return Poll::Ready(decision),
            }
            let Some(rest) = self.rest.take() else {
                return Poll::Ready(Err(AuthError::Missing));
            };
            match rest.list.ask(rest.at, &RequestHead::from(&rest.request)) {
                Answer::Ready(decision) => return Poll::Ready(decision),
                Answer::Pending(next) => *self = next,
            }
        }
    }
}

impl fmt::Debug for FirstOfFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstOfFuture").finish_non_exhaustive()
    }
}

type BoxedDecision = Pin<Box<dyn Future<Output = Result<Principal, AuthError>> + Send>>;

/// An authenticator whose future has no name.
trait Erased: Send + Sync {
    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, BoxedDecision>;
    fn mark_sensitive(&self, headers: &mut HeaderMap);
    fn credential_headers(&self) -> Vec<HeaderName>;
    fn schemes(&self) -> Vec<Cow<'static, str>>;
    fn waits_only_for_credentials(&self) -> bool;
}

impl<A> Erased for A
where
    A: Authenticator<Future: Send + 'static> + Send + Sync,
{
    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, BoxedDecision> {
        match Authenticator::authenticate(self, request) {
            Answer::Ready(decision) => Answer::Ready(decision),
            Answer::Pending(future) => Answer::Pending(Box::pin(future)),
        }
    }

    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        Authenticator::mark_sensitive(self, headers);
    }

    fn credential_headers(&self) -> Vec<HeaderName> {
        Authenticator::credential_headers(self)
    }

    fn schemes(&self) -> Vec<Cow<'static, str>> {
        Authenticator::schemes(self)
    }

    fn waits_only_for_credentials(&self) -> bool {
        Authenticator::waits_only_for_credentials(self)
    }
}
