use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{
    ResponseFuture,
    line::{Line, Turn},
};

/// Holds requests back until they may be sent.
///
/// A request waits in its response future, with the inner service that was ready for it; so it keeps
/// what that service reserved. See the [module docs](super::super) for an example.
#[derive(Clone, Debug)]
pub struct Throttle<S> {
    inner: S,
    line: Arc<Line>,
}

impl<S> Throttle<S> {
    pub(super) const fn new(inner: S, line: Arc<Line>) -> Self {
        Self { inner, line }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Throttle<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.line.enter() {
            Turn::Go => ResponseFuture::calling(self.inner.call(request), Arc::clone(&self.line)),
            Turn::Refuse(refusal) => ResponseFuture::refused(refusal.respond(&request)),
            Turn::Wait(place) => {
                // The clone may not be ready: hand the one that is to the future, keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::waiting(place, ready, request)
            }
        }
    }
}
