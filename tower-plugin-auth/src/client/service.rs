use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{
    Origin, ResponseFuture, TokenSource,
    future::{Held, Sent},
    keeper::{Answer, Keeper},
};

/// The service made by [`BearerLayer`](super::BearerLayer).
pub struct Bearer<S, T> {
    inner: S,
    keeper: Keeper<T>,
    origin: Arc<Origin>,
}

impl<S, T> Bearer<S, T> {
    pub(super) const fn new(inner: S, keeper: Keeper<T>, origin: Arc<Origin>) -> Self {
        Self {
            inner,
            keeper,
            origin,
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
}

impl<S, T, ReqBody, ResBody> Service<Request<ReqBody>> for Bearer<S, T>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    T: TokenSource,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, T, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let header = self.keeper.settings().header.name();
        if !self.origin.is_of(request.uri()) || request.headers().contains_key(header) {
            return ResponseFuture::calling(self.inner.call(request), None);
        }
        match self.keeper.token() {
            Answer::Here(token) => {
                request.headers_mut().insert(header.clone(), token.value);
                let sent = Sent::new(self.keeper.clone(), token.stamp);
                ResponseFuture::calling(self.inner.call(request), Some(sent))
            }
            Answer::Nothing(pause) => ResponseFuture::refused(request.headers(), pause),
            Answer::Wait(flight) => {
                // The clone may not be ready: hand the one that is to the future and keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let held = Held::new(ready, request, self.keeper.clone());
                ResponseFuture::waiting(Box::pin(self.keeper.clone().wait(flight)), held)
            }
        }
    }
}

impl<S: Clone, T> Clone for Bearer<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            keeper: self.keeper.clone(),
            origin: Arc::clone(&self.origin),
        }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for Bearer<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer")
            .field("inner", &self.inner)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
