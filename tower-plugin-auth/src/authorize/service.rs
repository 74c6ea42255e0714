use std::{
    fmt,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::{Principal, ResponseBody};
use tower_service::Service;

use super::{Authorizer, ResponseFuture};
use crate::{audit::Note, authenticate::AuthError, refusal::Refusals};

/// The service made by [`AuthorizeLayer`](super::AuthorizeLayer) and
/// [`RequireLayer`](super::RequireLayer).
#[derive(Clone)]
pub struct Authorize<S, A> {
    inner: S,
    authorizer: A,
    refusals: Refusals,
}

impl<S, A> Authorize<S, A> {
    pub(super) fn new(inner: S, authorizer: A, refusals: Refusals) -> Self {
        Self {
            inner,
            authorizer,
            refusals,
        }
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

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match parts.extensions.get::<Principal>() {
            None => {
                tracing::debug!(
                    "request without a principal refused; is there an AuthLayer outside?"
                );
                let response = self
                    .refusals
                    .unauthenticated(&AuthError::Missing, &parts.headers);
                ResponseFuture::refused(response)
            }
            Some(principal) if !self.authorizer.permits(principal, &parts) => {
                tracing::debug!(subject = principal.subject(), "request not permitted");
                let mut response = self.refusals.forbidden(&parts.headers);
                // Also whom somebody else than our layer has authenticated.
                if let Some(note) = Note::of(&parts.extensions) {
                    note.leave(&mut response);
                }
                ResponseFuture::refused(response)
            }
            Some(_) => ResponseFuture::calling(self.inner.call(Request::from_parts(parts, body))),
        }
    }
}

impl<S: fmt::Debug, A> fmt::Debug for Authorize<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("inner", &self.inner)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
