use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tower_plugin_core::{Code, Rejection, ResponseBody};
use tower_service::Service;

use super::{ResponseFuture, layer::Rules};

/// The service made by [`RequireSecureTransportLayer`](super::RequireSecureTransportLayer).
#[derive(Clone, Debug)]
pub struct RequireSecureTransport<S> {
    inner: S,
    rules: Rules,
}

impl<S> RequireSecureTransport<S> {
    pub(super) const fn new(inner: S, rules: Rules) -> Self {
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

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        if self.rules.permit(&parts) {
            return ResponseFuture::calling(self.inner.call(Request::from_parts(parts, body)));
        }
        tracing::debug!("request over an unencrypted connection refused");
        let rejection = Rejection::new(
            Code::FailedPrecondition,
            "INSECURE_TRANSPORT",
            "a secure connection is required",
        )
        .with_status(StatusCode::FORBIDDEN);
        ResponseFuture::refused(rejection.into_response(&parts.headers))
    }
}
