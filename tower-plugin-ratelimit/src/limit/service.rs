use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::{RequestHead, ResponseBody};
use tower_service::Service;

use super::{
    ResponseFuture,
    settings::Settings,
    ticket::{self, Next},
};
use crate::{Limiter, MemoryLimiter, key::Key};

/// Refuses requests over their quota, or lets them wait.
///
/// See the [crate docs](crate) for an example.
#[derive(Clone, Debug)]
pub struct RateLimit<S, K, L = MemoryLimiter> {
    inner: S,
    limiter: L,
    key: K,
    settings: Arc<Settings>,
}

impl<S, K, L> RateLimit<S, K, L> {
    pub(super) const fn new(inner: S, limiter: L, key: K, settings: Arc<Settings>) -> Self {
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

impl<S, K, L, ReqBody, ResBody> Service<Request<ReqBody>> for RateLimit<S, K, L>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    K: Key,
    L: Limiter + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, L, ReqBody, ResBody>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let head = RequestHead::from(&request);
        match ticket::plan(&self.settings, &self.limiter, &self.key, &head) {
            Next::Call => ResponseFuture::calling(self.inner.call(request)),
            Next::Follow(ticket) => ResponseFuture::following(self.inner.call(request), ticket),
            Next::Refuse(rejection) => {
                ResponseFuture::refused(self.settings.respond(rejection, request.headers()))
            }
            later @ (Next::Ask(_) | Next::Wait(_)) => {
                // The clone may not be ready: hand the one that is to the future, keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::held(later, ready, request, &self.settings)
            }
        }
    }
}
