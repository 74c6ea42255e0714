use std::{
    fmt,
    task::{Context, Poll},
};

use http::{Request, Response, request::Parts};
use tower_plugin_core::{Principal, ResponseBody};
use tower_service::Service;

use super::ResponseFuture;
use crate::{authenticate::AuthError, refusal::Refusals};

/// The service made by [`RequireLayer`](super::RequireLayer).
#[derive(Clone)]
pub struct Require<S, P> {
    inner: S,
    permits: P,
    refusals: Refusals,
}

impl<S, P> Require<S, P> {
    pub(super) fn new(inner: S, permits: P, refusals: Refusals) -> Self {
        Self {
            inner,
            permits,
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

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for Require<S, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    P: Fn(&Principal, &Parts) -> bool,
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
                ResponseFuture::rejected(response)
            }
            Some(principal) if !(self.permits)(principal, &parts) => {
                tracing::debug!(subject = principal.subject(), "request not permitted");
                ResponseFuture::rejected(self.refusals.forbidden(&parts.headers))
            }
            Some(_) => ResponseFuture::calling(self.inner.call(Request::from_parts(parts, body))),
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Require<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require")
            .field("inner", &self.inner)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
