use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::{RequestHead, ResponseBody};
use tower_service::Service;

use super::{ResponseFuture, layer::Directory};

/// Looks up the policy of a request before it is limited.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct PolicyLookup<S> {
    inner: S,
    directory: Directory,
}

impl<S> PolicyLookup<S> {
    pub(super) const fn new(inner: S, directory: Directory) -> Self {
        Self { inner, directory }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for PolicyLookup<S>
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
        match self.directory.cache_key(&RequestHead::from(&request)) {
            None => ResponseFuture::calling(self.inner.call(request)),
            Some(key) => {
                // The clone may not be ready: hand the one that is to the future, keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::asking(self.directory.look_up(key), ready, request)
            }
        }
    }
}
