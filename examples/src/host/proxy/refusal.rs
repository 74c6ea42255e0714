use std::error::Error;

use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, WWW_AUTHENTICATE},
};
use tower_plugin_core::{Code, Rejection};

use super::dial::DialError;

pub(super) fn no_such_method() -> Rejection {
    Rejection::new(
        Code::Unimplemented,
        "METHOD_NOT_ALLOWED",
        "CONNECT and TRACE are not served here",
    )
    .with_status(StatusCode::METHOD_NOT_ALLOWED)
    .with_header(
        ALLOW,
        HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    )
}

pub(super) fn invalid_path() -> Rejection {
    Rejection::new(
        Code::InvalidArgument,
        "INVALID_SERVICE_PATH",
        "invalid service path format, expected /services/{type}/{provider-id}/{method}",
    )
}

pub(super) fn no_runtime_id() -> Rejection {
    Rejection::new(
        Code::Unauthenticated,
        "MISSING_RUNTIME_ID",
        "X-Plugin-Runtime-ID header required",
    )
    .with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"plugins\""),
    )
}

/// It was good when the call began.
pub(super) fn token_ended() -> Rejection {
    Rejection::new(Code::Unauthenticated, "INVALID_TOKEN", "invalid token").with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"plugins\", error=\"invalid_token\""),
    )
}

pub(super) fn unknown_provider() -> Rejection {
    Rejection::new(
        Code::NotFound,
        "UNKNOWN_PROVIDER",
        "provider not found for this service type",
    )
}

pub(super) fn unhealthy() -> Rejection {
    Rejection::new(
        Code::Unavailable,
        "PROVIDER_UNHEALTHY",
        "service unavailable (provider unhealthy)",
    )
}

pub(super) fn no_endpoint() -> Rejection {
    Rejection::new(
        Code::NotFound,
        "NO_ENDPOINT",
        "provider endpoint not registered with this host",
    )
}

pub(super) fn no_answer_in_time() -> Rejection {
    Rejection::new(
        Code::DeadlineExceeded,
        "PROVIDER_TIMEOUT",
        "the provider took too long to answer",
    )
    .with_status(StatusCode::GATEWAY_TIMEOUT)
}

pub(super) fn bad_gateway() -> Rejection {
    Rejection::new(
        Code::Unavailable,
        "PROVIDER_FAILED",
        "failed to proxy request",
    )
    .with_status(StatusCode::BAD_GATEWAY)
}

/// What a caller is told of a provider that did not answer. The cause is for the log.
pub(super) fn of_failure(error: &(dyn Error + 'static)) -> Rejection {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(DialError::TimedOut) = error.downcast_ref() {
            return no_answer_in_time();
        }
        cause = error.source();
    }
    bad_gateway()
}
