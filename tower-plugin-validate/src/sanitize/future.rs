use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
        CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, TRAILER,
        TRANSFER_ENCODING,
    },
};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tower_plugin_core::{Code, Protocol, Rejection};

use super::{
    PublicError, SanitizedBody, connect,
    context::{RequestContext, is_internal},
    grpc,
};

pin_project! {
    /// The future of [`SanitizeErrors`](super::SanitizeErrors).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        context: Option<RequestContext>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F, context: RequestContext) -> Self {
        Self {
            inner,
            context: Some(context),
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<SanitizedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        match this.context.take() {
            Some(context) => Poll::Ready(Ok(sanitized(response, context, cx))),
            // A future polled after it has finished may do anything but panic here.
            None => Poll::Pending,
        }
    }
}

fn sanitized<B: Body<Data = Bytes>>(
    mut response: Response<B>,
    context: RequestContext,
    cx: &mut Context<'_>,
) -> Response<SanitizedBody<B>> {
    context.reference.settings.scrub(response.headers_mut());
    let has_failed = response.status().is_server_error();
    if !has_failed && !may_tell_how_it_ended(response.headers()) {
        return response.map(SanitizedBody::pass);
    }
    let extensions = response.extensions();
    if extensions.get::<Rejection>().is_some() || extensions.get::<PublicError>().is_some() {
        return response.map(SanitizedBody::pass);
    }
    match Protocol::of(response.headers()) {
        Protocol::Grpc | Protocol::GrpcWeb
            if has_failed && !response.headers().contains_key(grpc::GRPC_STATUS) =>
        {
            failed(response, &context, cx)
        }
        Protocol::Grpc => {
            grpc::sanitize(response.headers_mut(), &context.reference);
            response.map(|body| SanitizedBody::grpc(body, context.reference))
        }
        Protocol::GrpcWeb => {
            grpc::sanitize(response.headers_mut(), &context.reference);
            // The frame of trailers may change its length.
            response.headers_mut().remove(CONTENT_LENGTH);
            response.map(|body| SanitizedBody::grpc_web(body, context.reference))
        }
        Protocol::ConnectStream if !has_failed => {
            response.headers_mut().remove(CONTENT_LENGTH);
            response.map(|body| SanitizedBody::connect_stream(body, context.reference))
        }
        _ if has_failed => failed(response, &context, cx),
        _ => response.map(SanitizedBody::pass),
    }
}

/// Whether this is one of the protocols in which a call may fail though its status is 200. `false` is certain.
fn may_tell_how_it_ended(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let Some((application, rest)) = value.and_then(|value| value.split_at_checked(12)) else {
        return false;
    };
    // application/grpc, application/connect+
    matches!(rest, [b'g' | b'G' | b'c' | b'C', ..])
        && application.eq_ignore_ascii_case(b"application/")
}

/// A response with a 5xx status.
#[cold]
fn failed<B: Body<Data = Bytes>>(
    response: Response<B>,
    context: &RequestContext,
    cx: &mut Context<'_>,
) -> Response<SanitizedBody<B>> {
    let (mut parts, body) = response.into_parts();
    let mut body = Box::pin(body);
    let read = what_is_there(body.as_mut(), cx);
    let (detail, is_whole) = (read.data, read.is_whole);
    let rest = (!is_whole).then_some(body);
    let settings = Arc::clone(&context.reference.settings);
    let as_it_was = |start| SanitizedBody::replay(start, read.trailers, rest, settings);

    let mut code = by_status(parts.status);
    if context.caller.protocol() == Protocol::ConnectUnary && is_whole && is_json(&parts.headers) {
        code = match connect::code(&detail) {
            Ok(public) if !is_internal(public) => {
                return Response::from_parts(parts, as_it_was(detail));
            }
            Ok(internal) => internal,
            Err(_) => code,
        };
    }
    let Some(kept) = context.reference.keep(code, parts.status, &detail) else {
        return Response::from_parts(parts, as_it_was(detail));
    };

    for name in OF_THE_BODY {
        parts.headers.remove(name);
    }
    if let Ok(id) = HeaderValue::from_str(kept.id.as_str()) {
        parts
            .headers
            .insert(&context.reference.settings.request_id_header, id);
    }
    let mut kept = kept;
    kept.rejection = kept.rejection.with_status(parts.status);
    let (head, body) = kept.rendered(&context.caller.headers());
    parts.status = head.status;
    parts.headers.extend(head.headers);
    parts.extensions.extend(head.extensions);
    Response::from_parts(parts, SanitizedBody::replaced(body))
}

/// As much of a body as there was.
#[derive(Default)]
struct Read {
    data: Bytes,
    /// They are the last frame.
    trailers: Option<Box<HeaderMap>>,
    is_whole: bool,
}

/// Reads what can be read without waiting: a body that is slow to come is not waited for to be thrown away.
fn what_is_there<B: Body<Data = Bytes>>(mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Read {
    let mut read = Read::default();
    // Frames may be empty, and without end.
    for _ in 0..MAX_FRAMES {
        match body.as_mut().poll_frame(cx).map_ok(Frame::into_data) {
            // Most bodies are of one frame, which may be of any length and is not copied.
            Poll::Ready(Some(Ok(Ok(data)))) if read.data.is_empty() => read.data = data,
            Poll::Ready(Some(Ok(Ok(data)))) => {
                let mut both = BytesMut::from(read.data);
                both.extend_from_slice(&data);
                read.data = both.freeze();
            }
            Poll::Ready(Some(Ok(Err(frame)))) => {
                read.trailers = frame.into_trailers().ok().map(Box::new);
                read.is_whole = true;
                return read;
            }
            Poll::Ready(None) => {
                read.is_whole = true;
                return read;
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => break,
        }
        if read.data.len() >= MAX_READ {
            break;
        }
    }
    read.is_whole = body.is_end_stream();
    read
}

fn by_status(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_IMPLEMENTED => Code::Unimplemented,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let json = value.and_then(|value| value.get(..JSON.len()));
    json.is_some_and(|json| json.eq_ignore_ascii_case(JSON))
        && !headers.contains_key(CONTENT_ENCODING)
}

const JSON: &[u8] = b"application/json";
const MAX_READ: usize = 64 << 10;
const MAX_FRAMES: usize = 1024;

/// What says something of a body that is not sent.
const OF_THE_BODY: [HeaderName; 16] = [
    ACCEPT_RANGES,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
    LAST_MODIFIED,
    TRAILER,
    TRANSFER_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];
