use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use http::{Request, Response};
use tower_plugin_core::{Clock, Principal};
use tower_service::Service;

use super::ResponseFuture;
use crate::token::EXPIRES_AT;

/// The service made by [`RefreshHintLayer`](super::RefreshHintLayer).
#[derive(Clone)]
pub struct RefreshHint<S> {
    inner: S,
    threshold: Duration,
    clock: Arc<dyn Clock>,
}

impl<S> RefreshHint<S> {
    pub(super) fn new(inner: S, threshold: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            threshold,
            clock,
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

    /// The seconds to speak of, if any.
    fn hint(&self, principal: &Principal) -> Option<u64> {
        let expires_at: u64 = principal.attribute(EXPIRES_AT)?.parse().ok()?;
        let now = self.clock.wall().duration_since(UNIX_EPOCH).ok()?;
        let left = Duration::from_secs(expires_at).saturating_sub(now);
        // One that has expired meanwhile has a moment left, as far as its holder is concerned.
        (left < self.threshold).then_some(left.as_secs().max(1))
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RefreshHint<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let principal = request.extensions().get::<Principal>();
        let hint = principal.and_then(|principal| self.hint(principal));
        ResponseFuture::new(self.inner.call(request), hint)
    }
}

impl<S: fmt::Debug> fmt::Debug for RefreshHint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshHint")
            .field("inner", &self.inner)
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}
