use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::Body;
use tower_plugin_core::Protocol;
use tower_service::Service;

use super::{ResponseFuture, SanitizedBody, context::RequestContext, layer::Settings};

/// The service of [`SanitizeErrorsLayer`](super::SanitizeErrorsLayer).
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
pub struct SanitizeErrors<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> SanitizeErrors<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    #[must_use]
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Lets errors speak again.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SanitizeErrors<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<SanitizedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let context = RequestContext::of(&request, &self.settings);
        if context.caller.protocol() == Protocol::ConnectStream && !self.settings.shows_details {
            // What ends the stream would be compressed as all its messages are.
            request.headers_mut().remove(CONNECT_ACCEPT_ENCODING);
        }
        ResponseFuture::new(self.inner.call(request), context)
    }
}

const CONNECT_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("connect-accept-encoding");
