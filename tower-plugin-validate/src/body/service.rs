use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use tower_plugin_core::{Protocol, ResponseBody};
use tower_service::Service;

use super::{BodyLimit, BodyLimits, GuardedBody, ResponseFuture, refused::rejection};
use crate::{
    caller::Caller,
    meter::{self, Layer},
};

/// The service of [`BodyGuardLayer`](super::BodyGuardLayer).
///
/// See the [module docs](super) for an example.
#[derive(Clone, Copy, Debug)]
pub struct BodyGuard<S> {
    inner: S,
    limits: BodyLimits,
}

impl<S> BodyGuard<S> {
    pub(super) const fn new(inner: S, limits: BodyLimits) -> Self {
        Self { inner, limits }
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

    /// Gives up the guard.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for BodyGuard<S>
where
    S: Service<Request<GuardedBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let is_stream = is_stream(request.headers());
        let limit = match is_stream {
            true => BodyLimit::StreamBytes,
            false => BodyLimit::BodyBytes,
        };
        // The hint is the server's own reading of `content-length`.
        let announced = declared(request.headers()).max(request.body().size_hint().lower());
        if self.limits.is_over(limit, announced) {
            let rejection = rejection(limit);
            meter::refused(Layer::Body, rejection.reason());
            tracing::debug!(reason = rejection.reason(), "request refused");
            return ResponseFuture::refused(rejection.into_response(request.headers()));
        }

        let caller = Caller::of(request.headers());
        let (parts, body) = request.into_parts();
        let (body, verdict) = GuardedBody::new(body, self.limits, is_stream);
        let request = Request::from_parts(parts, body);
        ResponseFuture::forwarded(self.inner.call(request), caller, verdict)
    }
}

/// Whether the body is messages with their lengths before them.
fn is_stream(headers: &HeaderMap) -> bool {
    match Protocol::of(headers) {
        Protocol::ConnectStream | Protocol::Grpc => true,
        Protocol::GrpcWeb => !is_text(headers),
        Protocol::ConnectUnary | Protocol::Http => false,
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let value = headers.get(http::header::CONTENT_TYPE);
    let text = value.and_then(|value| value.as_bytes().get(..GRPC_WEB_TEXT.len()));
    text.is_some_and(|text| text.eq_ignore_ascii_case(GRPC_WEB_TEXT))
}

/// What the head announces; what is no number is for the server to refuse.
fn declared(headers: &HeaderMap) -> u64 {
    let value = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

const GRPC_WEB_TEXT: &[u8] = b"application/grpc-web-text";
