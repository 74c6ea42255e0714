use std::{
    fmt, mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_plugin_core::{RequestHead, ResponseBody};
use tower_service::Service;

use super::{ResponseFuture, future::Held, gate::Gate};
use crate::{Answer, store::GrantStore};

/// The service made by [`CapabilityLayer`](super::CapabilityLayer).
pub struct CapabilityGuard<S, G> {
    inner: S,
    gate: Gate<G>,
}

impl<S, G> CapabilityGuard<S, G> {
    pub(super) fn new(inner: S, gate: Gate<G>) -> Self {
        Self { inner, gate }
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

impl<S, G, ReqBody, ResBody> Service<Request<ReqBody>> for CapabilityGuard<S, G>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    G: GrantStore,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, G, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let gate = &self.gate;
        let head = RequestHead::from(&request);
        let presented = match gate.read(&head) {
            Ok(presented) => presented,
            Err(refused) => return ResponseFuture::refused(gate.refuse(refused, &head)),
        };
        let found = match gate.broker.store().get(&presented.id()) {
            Answer::Ready(found) => found,
            Answer::Pending(lookup) => {
                let held = self.hold(request);
                return ResponseFuture::looking_up(lookup, presented, held);
            }
        };
        let checked = match gate.judge(&presented, found, &head) {
            Ok(checked) => checked,
            Err(refused) => return ResponseFuture::refused(gate.refuse(refused, &head)),
        };
        let grant = match checked.count(&gate.broker) {
            Answer::Ready(grant) => grant,
            Answer::Pending((counting, checked)) => {
                let held = self.hold(request);
                return ResponseFuture::counting(counting, checked, held);
            }
        };
        let admitted = grant
            .map_err(Into::into)
            .and_then(|grant| gate.admit(grant, &mut request));
        match admitted {
            Ok(()) => ResponseFuture::calling(self.inner.call(request)),
            Err(refused) => {
                ResponseFuture::refused(gate.refuse(refused, &RequestHead::from(&request)))
            }
        }
    }
}

impl<S: Clone, G> CapabilityGuard<S, G> {
    fn hold<B>(&mut self, request: Request<B>) -> Held<S, G, B> {
        // The clone may not be ready: hand the one that is to the future and keep the clone.
        // <https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services>
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        Held::new(ready, request, self.gate.clone())
    }
}

impl<S: Clone, G> Clone for CapabilityGuard<S, G> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            gate: self.gate.clone(),
        }
    }
}

impl<S: fmt::Debug, G: fmt::Debug> fmt::Debug for CapabilityGuard<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapabilityGuard")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish()
    }
}
