use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::{Principal, RequestHead, ResponseBody};
use tower_service::Service;

use super::{Authorizer, ResponseFuture};
use crate::{audit::Note, authenticate::AuthError, refusal::Refusals};

/// The service made by [`AuthorizeLayer`](super::AuthorizeLayer) and
/// [`RequireLayer`](super::RequireLayer).
pub struct Authorize<S, A> {
    inner: S,
    shared: Arc<Shared<A>>,
}

/// What all services of a layer share, behind one reference count: servers clone a service for every
/// request.
#[derive(Clone)]
pub(super) struct Shared<A> {
    pub(super) authorizer: A,
    pub(super) refusals: Refusals,
}

impl<S, A> Authorize<S, A> {
    pub(super) const fn new(inner: S, shared: Arc<Shared<A>>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, ReqBody, ResBody> Service<Request<ReqBody>> for Authorize<S, A>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    A: Authorizer,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let Shared {
            authorizer,
            refusals,
        } = &*self.shared;
        let head = RequestHead::from(&request);
        match head.extensions.get::<Principal>() {
            Some(known) if authorizer.permits(known, &head) => {
                ResponseFuture::calling(self.inner.call(request))
            }
            known => ResponseFuture::refused(refuse(refusals, known, &head)),
        }
    }
}

#[inline(never)]
fn refuse<B>(
    refusals: &Refusals,
    principal: Option<&Principal>,
    request: &RequestHead<'_>,
) -> Response<ResponseBody<B>> {
    let Some(principal) = principal else {
        tracing::debug!("request without a principal refused; is there an AuthLayer outside?");
        return refusals.unauthenticated(&AuthError::Missing, request.headers);
    };
    tracing::debug!(subject = principal.subject(), method = %request.method, "request not permitted");
    let mut response = refusals.forbidden(request.headers);
    // Also whom somebody else than our layer has authenticated.
    if let Some(note) = Note::of(request.extensions) {
        note.leave(&mut response);
    }
    response
}

impl<S: Clone, A> Clone for Authorize<S, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, A> fmt::Debug for Authorize<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("inner", &self.inner)
            .field("refusals", &self.shared.refusals)
            .finish_non_exhaustive()
    }
}
