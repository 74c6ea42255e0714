use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue};
use tracing::Instrument;

use super::Telemetry;

/// Names a request, and counts what becomes of it; goes outside of everything.
///
/// The name is in every log line about the request, in the request as it goes further in, and in the
/// answer.
pub(in crate::host) async fn observe(
    State(telemetry): State<Telemetry>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = telemetry.now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = telemetry.request_id(request.headers());
    let value = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok());
    // Whatever else the caller has sent under this name goes no further.
    request.headers_mut().remove(REQUEST_ID);
    if let (Some(id), Some(value)) = (id, &value) {
        request.headers_mut().insert(REQUEST_ID, value.clone());
        request.extensions_mut().insert(id);
    }
    // The template, never the path: that is the caller's.
    let span = tracing::info_span!(
        "request",
        id = id.as_ref().map(|id| id.as_str()),
        route = route.as_ref().map(MatchedPath::as_str)
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    telemetry.count(route.as_ref(), &response, began);
    span.in_scope(|| tracing::debug!(code = response.status().as_u16(), "answered"));
    if let Some(value) = value {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
