//! One pass over a request head, and what a caller is told about what it finds.

use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header::LOCATION,
    uri::PathAndQuery,
};
use tower_plugin_core::{Code, Protocol, Rejection, Violation};

use super::{
    CanonicalPath, Mode, Part, RuleSet,
    closer::{Closer, note},
    findings::{Findings, field},
    glance::fields,
    rules::Applied,
};
use crate::{
    framing::{self, Head},
    path::{self, NonCanonical, PathViolation},
};

/// Decides whether a request goes on. A limit is reported alone, and before anything else; the rest
/// is collected: framing, path, metadata. Nothing is allocated for a request that is in order.
pub(super) fn check<B>(rules: &RuleSet, request: &mut Request<B>) -> (Target, Findings) {
    let mut findings = Findings::new(rules.modes());
    let uri = request.uri();
    let target = rules.limits().check_target(
        target_bytes(uri),
        uri.path().as_bytes(),
        uri.query().map(str::as_bytes),
    );
    if let Err(exceeded) = target
        && findings.exceed(exceeded, field(None))
    {
        return (Target::None, findings);
    }

    // Before the fields, because the route says which of them there must be; told after framing.
    let target = target_of(rules, request);
    let canonical = target.as_ref().ok();
    let canonical = canonical.and_then(|target| target.canonical(request.uri()));
    let applied = rules.on(request.method(), canonical);
    let Some(metadata) = check_fields(rules, &applied, request, &mut findings) else {
        return (Target::None, findings);
    };

    let target = target.unwrap_or_else(|violation| {
        let violation = Violation::new("path", violation.reason(), violation.description());
        findings.add(Part::Path, violation);
        Target::None
    });
    for violation in metadata {
        findings.add(Part::Metadata, violation);
    }
    if let Some(typed) = applied.typed.filter(|_| findings.refused.is_none()) {
        // Out of the request for a moment: one part of it is read, another one written.
        let mut extensions = std::mem::take(request.extensions_mut());
        for violation in typed.leave_in(&mut extensions, request.headers()) {
            findings.add(Part::Metadata, violation);
        }
        *request.extensions_mut() = extensions;
    }
    if let (Target::Elsewhere(location), None) = (&target, &findings.refused) {
        redirect(rules, location, request.headers(), &mut findings);
    }
    (target, findings)
}

/// Limits, framing and metadata of the fields. Returns what is wrong with the metadata, or nothing
/// if a limit ends it.
fn check_fields<B>(
    rules: &RuleSet,
    applied: &Applied<'_>,
    request: &Request<B>,
    findings: &mut Findings,
) -> Option<Vec<Violation>> {
    let headers = request.headers();
    let framing = rules.framing().scan(framing_of(request.version()));
    let mut closer = Closer::new(framing, applied.schema);
    let glance = closer.look_at_all(headers);
    if !applied.limits.allow(&glance.sizes) && find_exceeded(applied, headers, findings) {
        return None;
    }
    let Closer {
        mut framing,
        metadata,
        faults,
        mut wrong,
        ..
    } = closer;
    for fault in faults {
        add_fault(findings, fault);
    }
    framing.note(glance.non_ascii.any(), glance.capital_row.any());
    if let Some(bytes) = framing.content_length()
        && let Err(exceeded) = applied.limits.check_declared_body(bytes)
        && findings.exceed(exceeded, applied.place(b"content-length"))
    {
        return None;
    }
    let uri = request.uri();
    let head = Head::default()
        .with_authority(uri.authority().map(|a| a.as_str().as_bytes()))
        .with_scheme(uri.scheme_str().map(str::as_bytes));
    let fields = || fields(headers).map(|(_, name, value)| (name, value));
    framing.finish(head, fields, &mut |fault| add_fault(findings, fault));
    if let Some(metadata) = metadata {
        let lookup = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        metadata.finish(&lookup, &mut |finding| note(&mut wrong, finding));
    }
    Some(wrong)
}

/// Finds the limit that a request may be over; whether that ends it.
#[cold]
fn find_exceeded(applied: &Applied<'_>, headers: &HeaderMap, findings: &mut Findings) -> bool {
    let mut tally = applied.limits.tally();
    for (nth, name, value) in fields(headers) {
        if let Err(exceeded) = tally.next(nth, name, value)
            && findings.exceed(exceeded, applied.place(name))
        {
            return true;
        }
    }
    false
}

#[cold]
fn add_fault(findings: &mut Findings, fault: framing::Fault) {
    let kind = fault.kind();
    let violation = Violation::new(field(fault.header()), kind.reason(), kind.description());
    findings.add(Part::Framing, violation);
}

/// Where an accepted request goes.
pub(super) enum Target {
    /// To the canonical spelling, by way of the caller.
    Elsewhere(PathAndQuery),
    /// As received, and not canonical: `OPTIONS *`, and what is only observed.
    None,
    /// As received.
    Received,
    /// The same resource in its canonical spelling.
    Rewritten(Box<Uri>),
}

impl Target {
    /// The canonical path of a request with this URI.
    fn canonical<'a>(&'a self, uri: &'a Uri) -> Option<&'a str> {
        match self {
            Self::Received => Some(uri.path()),
            Self::Rewritten(rewritten) => Some(rewritten.path()),
            Self::Elsewhere(_) | Self::None => None,
        }
    }

    /// Makes the request say what was decided about it.
    pub(super) fn leave_in<B>(self, request: &mut Request<B>, leave_path: bool) {
        match self {
            Self::Elsewhere(_) | Self::None => return,
            Self::Received => {}
            Self::Rewritten(rewritten) => *request.uri_mut() = *rewritten,
        }
        if leave_path && let Some(path) = request.uri().path_and_query().cloned() {
            request.extensions_mut().insert(CanonicalPath::new(path));
        }
    }
}

fn target_of<B>(rules: &RuleSet, request: &Request<B>) -> Result<Target, PathViolation> {
    let uri = request.uri();
    // Only `CONNECT` comes without a path; it asks for a tunnel and not for a resource.
    let received = uri.path_and_query().ok_or(PathViolation::NotRooted)?;
    if received.as_str() == "*" && request.method() == Method::OPTIONS {
        return Ok(Target::None);
    }
    let canonical = path::canonical_str(received.path(), rules.path())?;
    if canonical.is_unchanged() {
        return Ok(Target::Received);
    }
    if rules.mode(Part::Path) == Mode::Observe {
        return Err(PathViolation::NotCanonical);
    }

    let mut text = canonical.into_inner().into_owned();
    if let Some(query) = received.query() {
        text.push('?');
        text.push_str(query);
    }
    // The canonical spelling is shorter and plainer than what was parsed already.
    let canonical = PathAndQuery::try_from(text).map_err(|_| PathViolation::NotCanonical)?;
    if rules.path().non_canonical() != NonCanonical::Rewrite {
        return Ok(Target::Elsewhere(canonical));
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(canonical);
    let uri = Uri::from_parts(parts).map_err(|_| PathViolation::NotCanonical)?;
    Ok(Target::Rewritten(Box::new(uri)))
}

/// What happens to a request whose path is harmless and in another spelling.
fn redirect(
    rules: &RuleSet,
    location: &PathAndQuery,
    headers: &HeaderMap,
    findings: &mut Findings,
) {
    let violation = PathViolation::NotCanonical;
    let (reason, description) = (violation.reason(), violation.description());
    let mut rejection = Rejection::new(Code::InvalidArgument, reason, description)
        .with_violation(Violation::new("path", reason, description));
    if rules.path().non_canonical() == NonCanonical::Observe {
        findings.observed.get_or_insert(Box::new(rejection));
        return;
    }
    // Starts with one slash, so that it stays on this host.
    let location = HeaderValue::try_from(location.as_str());
    if let (Protocol::Http, Ok(location)) = (Protocol::of(headers), location) {
        rejection = rejection
            .with_status(StatusCode::PERMANENT_REDIRECT)
            .with_header(LOCATION, location);
    }
    findings.refused = Some(Box::new(rejection));
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
