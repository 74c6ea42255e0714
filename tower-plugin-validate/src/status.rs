//! A refusal as tonic's status.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use tower_plugin_core::Rejection;

/// Renders a refusal as a status a handler can return: code, message and `google.rpc` details.
pub(crate) fn status(rejection: Rejection) -> tonic::Status {
    let mut request = HeaderMap::new();
    request.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let response = rejection.into_response::<()>(&request);
    let outcome = response
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("grpc-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    tonic::Status::from_header_map(&outcome)
        .unwrap_or_else(|| tonic::Status::invalid_argument("the request was refused"))
}
