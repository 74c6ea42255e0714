//! Prefixes are found wherever a stream is cut; and what `SanitizeErrors` lets through of one does not depend on
//! that either, holds every message, and no secret of an error that a client would take for internal.

#![no_main]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use tower_layer::Layer;
use tower_plugin_validate::{SanitizeErrorsLayer, body::envelope::Envelopes};
use tower_service::Service;

fuzz_target!(|input: &[u8]| {
    let Some((&[cut], stream)) = input.split_first_chunk() else {
        return;
    };
    let cut = usize::from(cut) + 1;
    assert_eq!(prefixes(stream, cut), naively(stream));

    for content_type in ["application/connect+json", "application/grpc-web"] {
        let whole = through(content_type, stream, usize::MAX);
        assert_eq!(through(content_type, stream, cut), whole);
        let end = if content_type == "application/grpc-web" {
            0x80
        } else {
            2
        };
        let messages = messages(stream, end);
        assert!(whole.starts_with(messages));
        let end: &[u8] = &whole[messages.len()..];
        if let Some(message) = end
            .get(5..)
            .filter(|_| content_type == "application/connect+json")
            && let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(message)
            && let Some(error) = object.get("error").filter(|error| !error.is_null())
            && ["internal", "unknown", "data_loss"]
                .iter()
                .any(|code| error["code"] == *code)
        {
            assert_eq!(error["message"], "internal error, reference fuzz");
        }
    }
});

fn prefixes(stream: &[u8], cut: usize) -> Vec<(u8, u32)> {
    let mut envelopes = Envelopes::default();
    let mut found = Vec::new();
    for mut rest in stream.chunks(cut) {
        while !rest.is_empty() {
            let (read, prefix) = envelopes.advance(rest);
            assert!(read > 0);
            rest = &rest[read..];
            found.extend(prefix.map(|prefix| (prefix.flags(), prefix.length())));
        }
    }
    found
}

fn naively(mut stream: &[u8]) -> Vec<(u8, u32)> {
    let mut found = Vec::new();
    while let Some((&[flags, a, b, c, d], rest)) = stream.split_first_chunk() {
        let length = u32::from_be_bytes([a, b, c, d]);
        found.push((flags, length));
        stream = rest.get(length as usize..).unwrap_or_default();
    }
    found
}

/// The part of the stream before the message that ends it, up to where it is whole or within a message.
fn messages(stream: &[u8], end: u8) -> &[u8] {
    let mut at = 0;
    while let Some((&[flags, a, b, c, d], _)) = stream[at..].split_first_chunk() {
        if flags & end != 0 {
            return &stream[..at];
        }
        at = stream
            .len()
            .min(at + 5 + u32::from_be_bytes([a, b, c, d]) as usize);
    }
    &stream[..at]
}

fn through(content_type: &'static str, stream: &[u8], cut: usize) -> Vec<u8> {
    let content_type = HeaderValue::from_static(content_type);
    let mut request = Request::new(());
    request
        .headers_mut()
        .insert("x-request-id", HeaderValue::from_static("fuzz"));
    request
        .headers_mut()
        .insert(CONTENT_TYPE, content_type.clone());
    let chunks = stream.chunks(cut).map(Bytes::copy_from_slice).collect();
    let mut response = Response::new(Chunks(chunks));
    response.headers_mut().insert(CONTENT_TYPE, content_type);

    let mut cx = Context::from_waker(Waker::noop());
    let future = SanitizeErrorsLayer::new()
        .layer(Answer(Some(response)))
        .call(request);
    let Poll::Ready(Ok(response)) = pin!(future).poll(&mut cx) else {
        panic!("not ready");
    };
    let mut body = pin!(response.into_body());
    let mut out = Vec::new();
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut cx) {
        out.extend(frame.into_data().unwrap());
    }
    out
}

struct Chunks(std::collections::VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

struct Answer(Option<Response<Chunks>>);

impl Service<Request<()>> for Answer {
    type Response = Response<Chunks>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Chunks>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(self.0.take().unwrap()))
    }
}
