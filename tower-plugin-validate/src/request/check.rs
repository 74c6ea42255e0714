//! One pass over a request head, and what a caller is told about what it finds.

use std::borrow::Cow;

use http::{Method, Request, StatusCode, Uri, Version, uri::PathAndQuery};
use tower_plugin_core::{Code, Rejection, Violation};

use super::{CanonicalPath, RuleSet};
use crate::{
    framing::{self, Head, Scan, well_known},
    limits::{Exceeded, Limit},
    path::{self, PathViolation},
};

/// Decides whether a request goes on. A limit is reported alone, and before anything else; the rest
/// is collected. Nothing is allocated for a request that is in order.
pub(super) fn check<B>(rules: &RuleSet, request: &Request<B>) -> Result<Target, Rejection> {
    let limits = rules.limits();
    let uri = request.uri();
    limits
        .check_target(
            target_bytes(uri),
            uri.path().as_bytes(),
            uri.query().map(str::as_bytes),
        )
        .map_err(|exceeded| over(exceeded, b""))?;

    let mut refusal = None;
    let mut report = |fault: framing::Fault| {
        let kind = fault.kind();
        add(
            &mut refusal,
            field(fault.header()),
            kind.reason(),
            kind.description(),
        );
    };

    let mut tally = limits.tally();
    let mut scan: Scan<'_> = rules.framing().scan(framing_of(request.version()));
    for (name, value) in request.headers() {
        let name = name.as_str().as_bytes();
        tally
            .field(name, value.as_bytes())
            .map_err(|exceeded| over(exceeded, name))?;
        scan.field(name, value.as_bytes(), &mut report);
    }
    if let Some(bytes) = scan.content_length() {
        limits
            .check_declared_body(bytes)
            .map_err(|exceeded| over(exceeded, b"content-length"))?;
    }

    let head = Head::default()
        .with_authority(uri.authority().map(|a| a.as_str().as_bytes()))
        .with_scheme(uri.scheme_str().map(str::as_bytes));
    let names = request.headers().iter();
    scan.finish(
        head,
        names.map(|(name, _)| name.as_str().as_bytes()),
        &mut report,
    );

    match target(rules, request) {
        Ok(target) => refusal.map_or(Ok(target), Err),
        Err(violation) => {
            add(
                &mut refusal,
                Cow::Borrowed("path"),
                violation.reason(),
                violation.description(),
            );
            Err(refusal.unwrap_or_else(|| invalid(violation.reason(), violation.description())))
        }
    }
}

/// Where an accepted request goes.
pub(super) enum Target {
    /// `OPTIONS *`, which has no path.
    Asterisk,
    /// As received.
    Received(CanonicalPath),
    /// The same resource in its canonical spelling.
    Rewritten(Uri, CanonicalPath),
}

impl Target {
    /// Makes the request say what was decided about it.
    pub(super) fn leave_in<B>(self, request: &mut Request<B>) {
        let canonical = match self {
            Self::Asterisk => return,
            Self::Received(canonical) => canonical,
            Self::Rewritten(uri, canonical) => {
                *request.uri_mut() = uri;
                canonical
            }
        };
        request.extensions_mut().insert(canonical);
    }
}

fn target<B>(rules: &RuleSet, request: &Request<B>) -> Result<Target, PathViolation> {
    let uri = request.uri();
    // Only `CONNECT` comes without a path; it asks for a tunnel and not for a resource.
    let received = uri.path_and_query().ok_or(PathViolation::NotRooted)?;
    if received.as_str() == "*" && request.method() == Method::OPTIONS {
        return Ok(Target::Asterisk);
    }
    let canonical = path::canonical(received.path(), rules.path())?;
    if canonical.is_unchanged() {
        return Ok(Target::Received(CanonicalPath::new(received.clone())));
    }

    let mut text = canonical.into_inner().into_owned();
    if let Some(query) = received.query() {
        text.push('?');
        text.push_str(query);
    }
    // The canonical spelling is shorter and plainer than what was parsed already.
    let rewritten = PathAndQuery::try_from(text).map_err(|_| PathViolation::NotCanonical)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rewritten.clone());
    let uri = Uri::from_parts(parts).map_err(|_| PathViolation::NotCanonical)?;
    Ok(Target::Rewritten(uri, CanonicalPath::new(rewritten)))
}

/// The length of a request target as it was sent.
fn target_bytes(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |s| s.len() + "://".len());
    let authority = uri.authority().map_or(0, |a| a.as_str().len());
    let path_and_query = uri.path_and_query().map_or(0, |p| p.as_str().len());
    scheme + authority + path_and_query
}

fn framing_of(version: Version) -> framing::Version {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => framing::Version::Http10,
        Version::HTTP_11 => framing::Version::Http11,
        _ => framing::Version::Http2,
    }
}

/// The refusal of a request that is over a limit.
#[cold]
fn over(exceeded: Exceeded, name: &[u8]) -> Rejection {
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
        Limit::DeclaredBody | Limit::ValueBytes | Limit::ValuesPerName => field(well_known(name)),
        Limit::HeaderCount | Limit::HeaderListBytes | Limit::NameBytes => field(None),
        Limit::PathBytes | Limit::PathSegments | Limit::SegmentBytes => Cow::Borrowed("path"),
        Limit::QueryBytes | Limit::QueryParams => Cow::Borrowed("query"),
        Limit::UriBytes => Cow::Borrowed("uri"),
    };
    let (reason, description) = (limit.reason(), limit.description());
    Rejection::new(code, reason, description)
        .with_status(status)
        .with_violation(Violation::new(place, reason, description))
}

/// Adds a violation to the refusal, which speaks of the first one.
#[cold]
fn add(
    refusal: &mut Option<Rejection>,
    place: Cow<'static, str>,
    reason: &'static str,
    description: &'static str,
) {
    let rejection = refusal
        .take()
        .unwrap_or_else(|| invalid(reason, description));
    *refusal = Some(rejection.with_violation(Violation::new(place, reason, description)));
}

fn invalid(reason: &'static str, description: &'static str) -> Rejection {
    Rejection::new(Code::InvalidArgument, reason, description)
}

/// Where in the request a header field is.
fn field(name: Option<&'static str>) -> Cow<'static, str> {
    match name {
        Some(name) => Cow::Owned(format!("header.{name}")),
        None => Cow::Borrowed("header"),
    }
}
