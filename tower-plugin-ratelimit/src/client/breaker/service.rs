use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tower_plugin_core::{Code, Rejection, ResponseBody};
use tower_service::Service;

use super::{
    super::{ByStatus, Classify},
    CircuitBody, Phase, ResponseFuture,
    call::Breaker,
};

/// Answers for a service that fails, instead of calling it.
///
/// Readiness is the inner service's, whatever state the circuit is in, and is not judged. See the
/// [module docs](super::super) for an example.
#[derive(Debug)]
pub struct CircuitBreaker<S, C = ByStatus> {
    inner: S,
    breaker: Arc<Breaker<C>>,
}

impl<S, C> CircuitBreaker<S, C> {
    pub(super) const fn new(inner: S, breaker: Arc<Breaker<C>>) -> Self {
        Self { inner, breaker }
    }

    /// The state of the circuit, as of the last call: an open circuit that nobody calls stays open.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.breaker.phase()
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

impl<S: Clone, C> Clone for CircuitBreaker<S, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            breaker: Arc::clone(&self.breaker),
        }
    }
}

impl<S, C, ReqBody, ResBody> Service<Request<ReqBody>> for CircuitBreaker<S, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: Classify<S::Error>,
{
    type Response = Response<ResponseBody<CircuitBody<ResBody, C>>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.breaker.enter() {
            Ok(mut call) => {
                let future = call.run(|| self.inner.call(request));
                ResponseFuture::calling(future, call)
            }
            Err(nanos) => ResponseFuture::refused(
                Rejection::new(
                    Code::Unavailable,
                    "CIRCUIT_OPEN",
                    "the service failed and is not called for a while",
                )
                .with_retry_after(Duration::from_nanos(nanos))
                .into_response(request.headers()),
            ),
        }
    }
}
