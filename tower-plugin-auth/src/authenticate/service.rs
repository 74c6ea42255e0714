use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::ResponseBody;
use tower_service::Service;

use super::{Authenticator, ResponseFuture, future::Held, gate::Gate};
use crate::{Answer, audit::Note};

/// The service made by [`AuthLayer`](super::AuthLayer).
#[derive(Clone, Debug)]
pub struct Auth<S, A> {
    inner: S,
    authenticator: A,
    gate: Gate,
}

impl<S, A> Auth<S, A> {
    pub(super) fn new(inner: S, authenticator: A, gate: Gate) -> Self {
        Self {
            inner,
            authenticator,
            gate,
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

impl<S, A, ReqBody, ResBody> Service<Request<ReqBody>> for Auth<S, A>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    A: Authenticator,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, A::Future, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let answer = self.authenticator.authenticate(&parts);
        self.authenticator.mark_sensitive(&mut parts.headers);
        match answer {
            Answer::Ready(decision) => match self.gate.admit(decision, &mut parts) {
                None => {
                    let note = Note::of(&parts.extensions);
                    let request = Request::from_parts(parts, body);
                    ResponseFuture::calling(self.inner.call(request), note)
                }
                Some(refusal) => ResponseFuture::refused(refusal),
            },
            Answer::Pending(decision) => {
                // The clone may not be ready: hand the one that is to the future and keep the clone.
                // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let held = Held::new(ready, parts, body, self.gate.clone());
                ResponseFuture::authenticating(decision, held)
            }
        }
    }
}
