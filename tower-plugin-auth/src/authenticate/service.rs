use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::{RequestHead, ResponseBody};
use tower_service::Service;

use super::{Authenticator, ResponseFuture, future::Held, gate::Gate};
use crate::{Answer, audit::Note};

/// The service made by [`AuthLayer`](super::AuthLayer).
#[derive(Debug)]
pub struct Auth<S, A> {
    inner: S,
    shared: Arc<Shared<A>>,
}

/// What all services of a layer share, behind one reference count: servers clone a service for every
/// request.
#[derive(Clone, Debug)]
pub(super) struct Shared<A> {
    pub(super) authenticator: A,
    pub(super) gate: Gate,
}

impl<S, A> Auth<S, A> {
    pub(super) const fn new(inner: S, shared: Arc<Shared<A>>) -> Self {
        Self { inner, shared }
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

impl<S, A, ReqBody, ResBody> Service<Request<ReqBody>> for Auth<S, A>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    A: Authenticator,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, A::Future, ReqBody, ResBody>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let Shared {
            authenticator,
            gate,
        } = &*self.shared;
        let answer = authenticator.authenticate(&RequestHead::from(&request));
        authenticator.mark_sensitive(request.headers_mut());
        match answer {
            Answer::Ready(decision) => match gate.admit(decision, request.extensions_mut()) {
                Ok(()) => {
                    let note = Note::of(request.extensions());
                    ResponseFuture::calling(self.inner.call(request), note)
                }
                Err(error) => ResponseFuture::refused(gate.refuse(&error, request.headers())),
            },
            Answer::Pending(decision) => {
                // The clone may not be ready: hand the one that is to the future and keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let held = Held::new(ready, request, gate.clone());
                ResponseFuture::authenticating(decision, held)
            }
        }
    }
}

impl<S: Clone, A> Clone for Auth<S, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}
