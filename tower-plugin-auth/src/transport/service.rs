use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, StatusCode};
use tower_plugin_core::{Code, Rejection, RequestHead, ResponseBody};
use tower_service::Service;

use super::{ResponseFuture, layer::Rules};

/// The service made by [`RequireSecureTransportLayer`](super::RequireSecureTransportLayer).
#[derive(Clone, Debug)]
pub struct RequireSecureTransport<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S> RequireSecureTransport<S> {
    pub(super) const fn new(inner: S, rules: Arc<Rules>) -> Self {
        Self { inner, rules }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireSecureTransport<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
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
        if self.rules.permit(&RequestHead::from(&request)) {
            return ResponseFuture::calling(self.inner.call(request));
        }
        ResponseFuture::refused(refusal(request.headers()))
    }
}

#[cold]
fn refusal<B>(request: &HeaderMap) -> Response<ResponseBody<B>> {
    tracing::debug!("request over an unencrypted connection refused");
    let rejection = Rejection::new(
        Code::FailedPrecondition,
        "INSECURE_TRANSPORT",
        "a secure connection is required",
    );
    let rejection = rejection.with_status(StatusCode::FORBIDDEN);
    rejection.into_response(request)
}
