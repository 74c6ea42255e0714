use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::RequestHead;
use tower_service::Service;

use super::{
    ResponseFuture,
    actor::{AlwaysWanted, Wanted},
    layer::Settings,
    request::Seen,
};

/// The service made by [`AuditLayer`](super::AuditLayer).
#[derive(Clone, Debug)]
pub struct Audit<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Audit<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Audit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let head = RequestHead::from(&request);
        let admitted = self.settings.admitted.as_ref();
        let always = admitted.is_some_and(|admitted| admitted(&head));
        let seen = Seen::of(&head, Arc::clone(&self.settings), always);
        // Both are of no size, and so not allocated.
        let extensions = request.extensions_mut();
        extensions.insert(Wanted);
        match always {
            true => drop(extensions.insert(AlwaysWanted)),
            false => drop(extensions.remove::<AlwaysWanted>()),
        }
        ResponseFuture::new(self.inner.call(request), seen)
    }
}
