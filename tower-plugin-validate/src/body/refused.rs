use std::{error::Error, fmt};

use http::StatusCode;
use tower_plugin_core::{Code, Rejection, Violation};

use super::BodyLimit;

/// How a body ends that is over a limit of its [`BodyGuard`](super::BodyGuard).
///
/// With the `tonic` feature its source is a `tonic::Status`, which tonic hands to the handler.
#[derive(Clone, Debug)]
pub struct BodyRefused {
    limit: BodyLimit,
    #[cfg(feature = "tonic")]
    status: Box<tonic::Status>,
}

impl BodyRefused {
    pub(super) fn new(limit: BodyLimit) -> Self {
        Self {
            limit,
            #[cfg(feature = "tonic")]
            status: Box::new(crate::status::status(rejection(limit))),
        }
    }

    /// Which limit it is over.
    #[must_use]
    pub const fn limit(&self) -> BodyLimit {
        self.limit
    }
}

impl fmt::Display for BodyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limit.fmt(f)
    }
}

impl Error for BodyRefused {
    #[cfg(feature = "tonic")]
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.status)
    }
}

/// What the caller is told.
#[cold]
pub(super) fn rejection(limit: BodyLimit) -> Rejection {
    let (reason, description) = (limit.reason(), limit.description());
    let (status, field) = match limit {
        BodyLimit::TrailerBytes | BodyLimit::TrailerFields => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "trailer")
        }
        _ => (StatusCode::PAYLOAD_TOO_LARGE, "body"),
    };
    Rejection::new(Code::ResourceExhausted, reason, description)
        .with_status(status)
        .with_violation(Violation::new(field, reason, description))
}
