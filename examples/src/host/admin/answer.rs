use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{CACHE_CONTROL, HeaderValue},
};
use serde::Serialize;
use tower_plugin_auth::StoreError;
use tower_plugin_core::{Code, Rejection};

/// JSON that nobody keeps.
pub(super) fn json(value: impl Serialize) -> Response {
    let mut response = Json(value).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn refuse(rejection: Rejection, request: &HeaderMap) -> Response {
    rejection.into_response::<Body>(request).map(Body::new)
}

pub(super) fn not_found(request: &HeaderMap) -> Response {
    refuse(
        Rejection::new(Code::NotFound, "UNKNOWN_TOKEN", "no such token or plugin"),
        request,
    )
}

/// What was sent is not repeated.
pub(super) fn invalid(what: &'static str, request: &HeaderMap) -> Response {
    let refusal = Rejection::new(Code::InvalidArgument, "INVALID_PARAMETER", what);
    refuse(refusal.with_status(StatusCode::BAD_REQUEST), request)
}

pub(super) fn unavailable(error: &StoreError, request: &HeaderMap) -> Response {
    tracing::error!(%error, "the token store could not be asked");
    refuse(
        Rejection::new(
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            "the token store could not be asked: nobody knows whether it was done",
        ),
        request,
    )
}
