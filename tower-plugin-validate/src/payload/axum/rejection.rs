use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use tower_plugin_core::{Code, Rejection, Violation};

use crate::{
    caller::Caller,
    meter::{self, Layer},
    payload::{
        Check, Violations,
        named::{Failure, Why},
        shape::{ShapeExceeded, ShapeLimit},
    },
};

/// Why a [`Checked`](super::Checked) refused a request, rendered in the protocol of its caller.
#[derive(Clone, Debug)]
pub struct CheckedRejection {
    rejection: Rejection,
    caller: Caller,
}

impl CheckedRejection {
    pub(super) fn new(rejection: Rejection, caller: Caller) -> Self {
        tracing::debug!(reason = rejection.reason(), "request refused");
        meter::refused(Layer::Payload, meter::rule(&rejection));
        Self { rejection, caller }
    }

    /// What the caller is told.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.rejection
    }
}

impl IntoResponse for CheckedRejection {
    fn into_response(self) -> Response {
        let response = self.rejection.into_response::<Body>(&self.caller.headers());
        response.map(Body::new)
    }
}

/// The value, unless it breaks rules.
pub(super) fn in_order<T: Check>(place: &'static str, value: T) -> Result<T, Rejection> {
    match value.check() {
        Ok(()) => Ok(value),
        Err(violations) => Err(invalid(place, StatusCode::UNPROCESSABLE_ENTITY, violations)),
    }
}

fn invalid(place: &'static str, status: StatusCode, violations: Violations) -> Rejection {
    violations.into_rejection(place).with_status(status)
}

/// What was sent is not of the type.
pub(super) fn mistyped<E>(
    place: &'static str,
    status: StatusCode,
    failure: &Failure<E>,
) -> Rejection {
    let why = failure.why();
    wrong(place, status, failure.path().to_owned(), why)
}

pub(super) fn wrong(place: &'static str, status: StatusCode, field: String, why: Why) -> Rejection {
    let mut violations = Violations::new();
    violations.add(field, why.reason(), why.description());
    invalid(place, status, violations)
}

pub(super) fn misshapen(exceeded: ShapeExceeded) -> Rejection {
    let limit = exceeded.limit();
    match limit {
        ShapeLimit::Bytes => too_large(limit.reason(), limit.description()),
        _ => single(Code::InvalidArgument, limit.reason(), limit.description()),
    }
}

pub(super) fn too_large(reason: &'static str, description: &'static str) -> Rejection {
    single(Code::ResourceExhausted, reason, description).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// A refusal of the body as a whole.
pub(super) fn single(code: Code, reason: &'static str, description: &'static str) -> Rejection {
    Rejection::new(code, reason, description).with_violation(Violation::new(
        "body",
        reason,
        description,
    ))
}

pub(super) fn wrong_content_type(description: &'static str) -> Rejection {
    Rejection::new(Code::InvalidArgument, "CONTENT_TYPE", description)
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .with_violation(Violation::new(
            "header.content-type",
            "CONTENT_TYPE",
            description,
        ))
}
