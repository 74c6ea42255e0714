use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{ResponseFuture, RuleSet, check::check};

/// The service of [`ValidateLayer`](crate::ValidateLayer).
///
/// See the [crate docs](crate) for an example.
#[derive(Clone, Debug)]
pub struct Validate<S> {
    inner: S,
    rules: Arc<RuleSet>,
}

impl<S> Validate<S> {
    pub(super) const fn new(inner: S, rules: Arc<RuleSet>) -> Self {
        Self { inner, rules }
    }

    /// The inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    #[must_use]
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives up the checks.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Validate<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match check(&self.rules, &request) {
            Ok(target) => {
                target.leave_in(&mut request);
                ResponseFuture::forwarded(self.inner.call(request))
            }
            Err(rejection) => {
                tracing::debug!(reason = rejection.reason(), "request rejected");
                ResponseFuture::rejected(rejection.into_response(request.headers()))
            }
        }
    }
}
