use std::task::{Context, Poll};

use http::{Request, Response};
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{LiveRules, Observed, ResponseFuture, check::check, live::Seen};
use crate::meter::{self, Layer};

/// The service of [`ValidateLayer`](crate::ValidateLayer).
///
/// See the [crate docs](crate) for an example.
#[derive(Clone, Debug)]
pub struct Validate<S> {
    inner: S,
    live: LiveRules,
    seen: Seen,
}

impl<S> Validate<S> {
    pub(super) fn new(inner: S, live: LiveRules) -> Self {
        let seen = Seen::of(&live);
        Self { inner, live, seen }
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
        let rules = self.seen.rules(&self.live);
        let (target, findings) = check(rules, &mut request);
        let leave_path = rules.leaves_canonical_path();
        if let Some(rejection) = findings.refused {
            self.live.count_refused();
            meter::refused(Layer::Head, rejection.reason());
            tracing::debug!(reason = rejection.reason(), "request refused");
            return ResponseFuture::refused(rejection.into_response(request.headers()));
        }
        let observed = findings.observed.map(|rejection| {
            self.live.count_observed();
            meter::observed(rejection.reason());
            tracing::debug!(reason = rejection.reason(), "request would be refused");
            Observed(*rejection)
        });
        target.leave_in(&mut request, leave_path);
        ResponseFuture::forwarded(self.inner.call(request), observed)
    }
}
