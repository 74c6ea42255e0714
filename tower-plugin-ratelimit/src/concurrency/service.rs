use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_plugin_core::{RequestHead, ResponseBody};
use tower_service::Service;

use super::{
    ConcurrencyLimiter, PermitBody, ResponseFuture,
    settings::{Plan, Settings},
};
use crate::key::Key;

/// Limits how many requests of a key are in flight at once.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<S, K> {
    inner: S,
    limiter: ConcurrencyLimiter,
    key: K,
    settings: Arc<Settings>,
}

impl<S, K> ConcurrencyLimit<S, K> {
    pub(super) const fn new(
        inner: S,
        limiter: ConcurrencyLimiter,
        key: K,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            inner,
            limiter,
            key,
            settings,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K, ReqBody, ResBody> Service<Request<ReqBody>> for ConcurrencyLimit<S, K>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    K: Key,
    ResBody: Body,
{
    type Response = Response<ResponseBody<PermitBody<ResBody>>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let head = RequestHead::from(&request);
        match self.settings.plan(&self.limiter, &self.key, &head) {
            Plan::Admit(permit) => ResponseFuture::calling(self.inner.call(request), permit),
            Plan::Refuse(rejection) => {
                ResponseFuture::refused(rejection.into_response(request.headers()))
            }
            Plan::Wait(ticket) => {
                // The clone may not be ready: hand the one that is to the future, keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let max_wait = self.limiter.limit().max_wait();
                ResponseFuture::waiting(ticket, max_wait, ready, request, &self.settings)
            }
        }
    }
}
