//! What a response that is in order costs. The allocator counts per thread.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use tower::{Layer, Service, service_fn};
use tower_plugin_validate::SanitizeErrorsLayer;

#[test]
fn a_response_in_order_passes_without_allocating() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let message = || Frame::data(Bytes::from_static(b"\0\0\0\0\x04data"));
    let cases = [
        (
            "application/json",
            vec![Frame::data(Bytes::from_static(b"{}"))],
        ),
        (
            "application/grpc",
            vec![message(), message(), Frame::trailers(trailers)],
        ),
        (
            "application/connect+json",
            vec![
                message(),
                message(),
                Frame::data(Bytes::from_static(b"\x02\0\0\0\x02{}")),
            ],
        ),
        (
            "application/grpc-web",
            vec![
                message(),
                Frame::data(Bytes::from_static(b"\x80\0\0\0\x10grpc-status: 0\r\n")),
            ],
        ),
    ];
    for (content_type, frames) in cases {
        let expected = frames.len();
        let frames = frames.into_iter().map(Ok::<_, Infallible>);
        let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(CONTENT_TYPE, value.clone());
        let mut response = Some(response);
        let inner = service_fn(move |_: Request<()>| {
            let response = response.take().ok_or(());
            std::future::ready(response)
        });
        let mut service = SanitizeErrorsLayer::new().layer(inner);
        let mut request = Request::new(());
        request.headers_mut().insert(CONTENT_TYPE, value);
        let id = HeaderValue::from_static("7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11");
        request.headers_mut().insert("x-request-id", id);

        let mut seen = 0;
        let info = allocation_counter::measure(|| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut future = pin!(service.call(request));
            let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
                return;
            };
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut cx) {
                seen += 1;
                black_box(frame);
            }
        });
        assert_eq!(seen, expected, "{content_type}");
        assert_eq!(info.count_total, 0, "{content_type}");
    }
    // The counter counts.
    let counted = allocation_counter::measure(|| drop(black_box(Box::new(7))));
    assert_eq!(counted.count_total, 1);
}
