use std::borrow::Cow;

use http::StatusCode;
use tower_plugin_core::{Code, Rejection, Violation};

use super::mode::{Mode, Modes, Part};
use crate::limits::{Exceeded, Limit};

/// What is wrong with a request, by whether that is enforced. In boxes, so that a request with which nothing is wrong
/// moves little memory.
#[derive(Default)]
pub(super) struct Findings {
    modes: Modes,
    pub(super) refused: Option<Box<Rejection>>,
    pub(super) observed: Option<Box<Rejection>>,
}

impl Findings {
    pub(super) fn new(modes: Modes) -> Self {
        Self {
            modes,
            ..Self::default()
        }
    }

    /// Adds a violation to the refusal, which speaks of the first one.
    #[cold]
    pub(super) fn add(&mut self, part: Part, violation: Violation) {
        let rejection = self.slot(part);
        let known = rejection.take().map_or_else(
            || {
                let message = violation.description().to_owned();
                Rejection::new(Code::InvalidArgument, violation.reason(), message)
            },
            |known| *known,
        );
        *rejection = Some(Box::new(known.with_violation(violation)));
    }

    /// Notes that a request is over a limit; whether that is enforced, and so the end of it.
    #[cold]
    pub(super) fn exceed(&mut self, exceeded: Exceeded, place: Cow<'static, str>) -> bool {
        let enforced = self.modes.of(Part::Limits) == Mode::Enforce;
        if enforced {
            self.refused = Some(Box::new(over(exceeded, place)));
        } else {
            // Observed, and so perhaps seen already: of several limits, the first is told.
            self.observed
                .get_or_insert_with(|| Box::new(over(exceeded, place)));
        }
        enforced
    }

    fn slot(&mut self, part: Part) -> &mut Option<Box<Rejection>> {
        match self.modes.of(part) {
            Mode::Enforce => &mut self.refused,
            Mode::Observe => &mut self.observed,
        }
    }
}

/// The refusal of a request that is over a limit.
fn over(exceeded: Exceeded, field: Cow<'static, str>) -> Rejection {
    let limit = exceeded.limit();
    let (code, status) = match limit {
        Limit::DeclaredBody => (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE),
        Limit::HeaderCount | Limit::HeaderListBytes | Limit::NameBytes | Limit::ValueBytes => (
            Code::ResourceExhausted,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
        Limit::ValuesPerName => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
        Limit::PathBytes
        | Limit::PathSegments
        | Limit::QueryBytes
        | Limit::QueryParams
        | Limit::SegmentBytes
        | Limit::UriBytes => (Code::InvalidArgument, StatusCode::URI_TOO_LONG),
    };
    let place = match limit {
        Limit::DeclaredBody | Limit::ValueBytes | Limit::ValuesPerName => field,
        Limit::HeaderCount | Limit::HeaderListBytes | Limit::NameBytes => Cow::Borrowed("header"),
        Limit::PathBytes | Limit::PathSegments | Limit::SegmentBytes => Cow::Borrowed("path"),
        Limit::QueryBytes | Limit::QueryParams => Cow::Borrowed("query"),
        Limit::UriBytes => Cow::Borrowed("uri"),
    };
    let (reason, description) = (limit.reason(), limit.description());
    Rejection::new(code, reason, description)
        .with_status(status)
        .with_violation(Violation::new(place, reason, description))
}

/// Where in the request a header field is.
pub(super) fn field(name: Option<&str>) -> Cow<'static, str> {
    match name {
        Some(name) => Cow::Owned(["header.", name].concat()),
        None => Cow::Borrowed("header"),
    }
}
