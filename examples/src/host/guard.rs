//! What stands directly around the RPC services: whole bodies, and answers in the caller's protocol
//! where the RPC runtime has none.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use tower_plugin_core::{Code, Protocol, Rejection};

use super::accept;

/// Largest request body, before and after decompression, in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// Longest time for a request body to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes in the whole body, then calls the service; goes inside of what bounds it.
///
/// The services have no client streams, so nothing is lost, and a slow or broken body is refused here with
/// its proper status: the RPC runtime would answer all of it like a rate limit.
pub(super) async fn take_in_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let refusal = match tokio::time::timeout(BODY_TIMEOUT, body.collect()).await {
        Ok(Ok(body)) => {
            return next
                .run(Request::from_parts(parts, Body::from(body.to_bytes())))
                .await;
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "request body broke off");
            Rejection::new(
                Code::InvalidArgument,
                "BROKEN_BODY",
                "the request body could not be read",
            )
        }
        Err(_) => Rejection::new(
            Code::DeadlineExceeded,
            "BODY_TIMEOUT",
            "the request body took too long to arrive",
        )
        .with_status(StatusCode::REQUEST_TIMEOUT),
    };
    respond(refusal, &parts.headers)
}

/// Refuses what the RPC runtime would overlook, answer incompletely or quote.
pub(super) async fn check_head(mut request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        let refusal = Rejection::new(
            Code::Unimplemented,
            "METHOD_NOT_ALLOWED",
            "only POST is served here",
        )
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_header(ALLOW, HeaderValue::from_static("POST"));
        return respond(refusal, request.headers());
    }
    let well_formed = |timeout: &HeaderValue| {
        (1..=10).contains(&timeout.len()) && timeout.as_bytes().iter().all(u8::is_ascii_digit)
    };
    if !request
        .headers()
        .get_all("connect-timeout-ms")
        .iter()
        .all(well_formed)
    {
        let refusal = Rejection::new(
            Code::InvalidArgument,
            "INVALID_TIMEOUT",
            "connect-timeout-ms must have 1 to 10 digits",
        );
        return respond(refusal, request.headers());
    }
    if let Some((_, offer)) = ENCODINGS
        .iter()
        .find(|(name, _)| !is_known_encoding(request.headers(), name))
    {
        let refusal = Rejection::new(
            Code::Unimplemented,
            "UNKNOWN_ENCODING",
            "only the encodings gzip and identity are taken",
        );
        let mut response = respond(refusal, request.headers());
        // A rejection carries no headers of gRPC's.
        response
            .headers_mut()
            .insert(offer, HeaderValue::from_static("gzip"));
        return response;
    }
    accept::simplify(request.headers_mut());
    next.run(request).await
}

/// Takes JSON posted to an RPC for Connect even without a version header, as connect-go does, so that
/// every layer refuses it in Connect's JSON.
pub(super) async fn take_json_for_connect(mut request: Request, next: Next) -> Response {
    let is_json = |value: &HeaderValue| {
        value
            .as_bytes()
            .get(..JSON.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(JSON))
    };
    let path = request.uri().path();
    let is_rpc = request.method() == Method::POST
        && [
            "/connectplugin.",
            "/broker/connectplugin.",
            "/capabilities/",
        ]
        .iter()
        .any(|start| path.starts_with(start));
    if is_rpc
        && Protocol::of(request.headers()) == Protocol::Http
        && request.headers().get(CONTENT_TYPE).is_some_and(is_json)
    {
        request
            .headers_mut()
            .insert("connect-protocol-version", HeaderValue::from_static("1"));
    }
    next.run(request).await
}

/// Turns a panic into an answer, and the host goes on.
pub(super) async fn catch_panic(request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!(panic = message(&*panic), "a handler panicked");
            respond(
                Rejection::new(Code::Internal, "INTERNAL", "internal error"),
                &headers,
            )
        }
    }
}

/// Answers what no route serves.
pub(super) async fn unknown_path(headers: HeaderMap) -> Response {
    let refusal = Rejection::new(
        Code::Unimplemented,
        "UNKNOWN_PATH",
        "nothing is served at this path",
    )
    .with_status(StatusCode::NOT_FOUND);
    respond(refusal, &headers)
}

fn is_known_encoding(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    let known = values
        .next()
        .is_none_or(|value| value == "gzip" || value == "identity");
    known && values.next().is_none()
}

fn respond(refusal: Rejection, request: &HeaderMap) -> Response {
    refusal.into_response::<Body>(request).map(Body::new)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown kind")
}

/// Where each protocol says how the request is encoded, and where it is told what could be.
const ENCODINGS: [(HeaderName, HeaderName); 3] = [
    (CONTENT_ENCODING, ACCEPT_ENCODING),
    (
        HeaderName::from_static("connect-content-encoding"),
        HeaderName::from_static("connect-accept-encoding"),
    ),
    (
        HeaderName::from_static("grpc-encoding"),
        HeaderName::from_static("grpc-accept-encoding"),
    ),
];
const JSON: &[u8] = b"application/json";
