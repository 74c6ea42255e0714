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
#[derive(Debug)]
pub struct RateLimit<S, K, L = MemoryLimiter> {
    inner: S,
    shared: Arc<Shared<K, L>>,
}

/// What all services of a layer share, behind one reference count: servers clone a service for every
/// request.
#[derive(Clone, Debug)]
pub(super) struct Shared<K, L> {
    pub(super) limiter: L,
    pub(super) key: K,
    pub(super) settings: Arc<Settings>,
}

impl<S, K, L> RateLimit<S, K, L> {
    pub(super) const fn new(inner: S, shared: Arc<Shared<K, L>>) -> Self {
        Self { inner, shared }
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
        let Shared {
            limiter,
            key,
            settings,
        } = &*self.shared;
        match ticket::plan(settings, limiter, key, &RequestHead::from(&request)) {
            // Nearly always. Apart from the rest, so that the future is made where it is to be.
            Next::Call => ResponseFuture::calling(self.inner.call(request), None),
            next => self.call_later(next, request),
        }
    }
}

impl<S, K, L> RateLimit<S, K, L> {
    #[inline(never)]
    fn call_later<ReqBody, ResBody>(
        &mut self,
        next: Next<L>,
        request: Request<ReqBody>,
    ) -> ResponseFuture<S, L, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        L: Limiter,
    {
        let settings = &self.shared.settings;
        match next {
            Next::Call => ResponseFuture::calling(self.inner.call(request), None),
            Next::Follow(ticket) => ResponseFuture::calling(self.inner.call(request), Some(ticket)),
            Next::Refuse(rejection) => {
                ResponseFuture::refused(settings.respond(rejection, request.headers()))
            }
            later @ (Next::Ask(_) | Next::Wait(_)) => {
                // The clone may not be ready: hand the one that is to the future, keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::held(later, ready, request, settings)
            }
        }
    }
}

impl<S: Clone, K, L> Clone for RateLimit<S, K, L> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}
