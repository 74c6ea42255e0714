//! Engine: whether every reader of a request head would take it for the same request.
//!
//! Two programs that disagree about where a message ends, which host it is for or which of two
//! values counts can be played against each other (request smuggling, cache poisoning, header
//! spoofing). Refused are:
//!
//! 1. a second field of a name that has one value: `authorization`, `content-length`,
//!    `content-type`, `dpop`, `grpc-timeout`, `host`, `te`, `transfer-encoding`, `x-forwarded-*`;
//! 2. `content-length` beside `transfer-encoding`, a length that is not a number, and a transfer
//!    encoding that does not end in one `chunked` (RFC 9112, section 6);
//! 3. an HTTP/1.1 request without `host` (RFC 9112, section 3.2), a `host` that is not the authority
//!    of the request target, and either that is no host and port: empty, with user information,
//!    characters no host has, an unfinished address or an impossible port;
//! 4. on HTTP/2 and later, fields that speak about a connection (RFC 9113, section 8.2.2);
//! 5. `a_b` beside `a-b`, which CGI and its heirs cannot tell apart;
//! 6. a value with a control character other than a tab, or, unless allowed, one outside ASCII.
//!
//! A server that corrects a message before it passes it on hides it from these rules. hyper (1.x)
//! takes `content-length` out of a message that also has `transfer-encoding`, and frames by the
//! latter, so that behind it the first half of rule 2 has nothing to see.

mod authority;
mod chars;
mod known;
mod names;
mod rules;

pub(crate) use known::FRAMING;
pub use known::well_known;
pub use rules::{Fault, FaultKind, FramingRules, ObsText};

use authority::is_host_and_port;
use known::is_single;
use names::Names;

/// Checks one request's fields. Made by [`FramingRules::scan`].
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::framing::{FaultKind, FramingRules, Head, Version};
///
/// let fields: [(&[u8], &[u8]); 2] = [(b"host", b"a.example"), (b"host", b"b.example")];
/// let mut faults = Vec::new();
/// let mut scan = FramingRules::http().scan(Version::Http11);
/// for (name, value) in fields {
///     scan.field(name, value, &mut |fault| faults.push(fault));
/// }
/// scan.finish(Head::default(), || fields, &mut |fault| faults.push(fault));
///
/// assert_eq!(faults.len(), 1);
/// assert_eq!(faults[0].kind(), FaultKind::Duplicate);
/// assert_eq!(faults[0].header(), Some("host"));
/// ```
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    rules: FramingRules,
    version: Version,
    previous: &'a [u8],
    /// How many fields have had the name of the last one.
    nth: usize,
    /// A value holds something other than printable ASCII.
    suspicious: bool,
    /// A name may hold an underscore.
    underscore: bool,
    host: Option<Host<'a>>,
    content_length: Option<u64>,
    has_content_length: bool,
    has_transfer_encoding: bool,
}

impl<'a> Scan<'a> {
    pub(super) const fn new(rules: FramingRules, version: Version) -> Self {
        Self {
            rules,
            version,
            previous: &[],
            nth: 0,
            suspicious: false,
            underscore: false,
            host: None,
            content_length: None,
            has_content_length: false,
            has_transfer_encoding: false,
        }
    }

    /// Looks at a field and reports what is wrong with it. Names must be in lower case, and fields
    /// of one name follow one another, as `http::HeaderMap` and HTTP/2 libraries yield them.
    #[inline]
    pub fn field(&mut self, name: &'a [u8], value: &'a [u8], report: &mut impl FnMut(Fault)) {
        let again = self.nth > 0 && name == self.previous;
        self.nth = if again { self.nth + 1 } else { 1 };
        self.previous = name;
        self.suspicious |= !chars::accepts(value, ObsText::Reject);
        self.underscore |= name.contains(&b'_');
        self.next(self.nth, name, value, report);
    }

    /// Notes what was seen of all fields at once.
    #[inline]
    pub(crate) const fn note(&mut self, suspicious: bool, underscore: bool) {
        self.suspicious = suspicious;
        self.underscore = underscore;
    }

    /// Looks at a field but for its characters, the `nth` of its name. Of names that are not
    /// [`FRAMING`], the first can be left out.
    #[inline]
    pub(crate) fn next(
        &mut self,
        nth: usize,
        name: &'a [u8],
        value: &'a [u8],
        report: &mut impl FnMut(Fault),
    ) {
        match nth {
            1 if FRAMING.may_hold(name) => self.frame(name, value, report),
            // Said once, however often it is repeated.
            2 if is_single(name, self.rules.repeated_forwarded) => {
                report(Fault::of(FaultKind::Duplicate, name));
            }
            _ => {}
        }
    }

    /// Looks at a field that says where a message ends, or whom it is for.
    #[inline(never)]
    fn frame(&mut self, name: &'a [u8], value: &'a [u8], report: &mut impl FnMut(Fault)) {
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"upgrade"
                if self.version == Version::Http2 =>
            {
                report(Fault::of(FaultKind::ConnectionHeader, name));
            }
            b"content-length" => {
                self.has_content_length = true;
                self.content_length = decimal(value);
                if self.content_length.is_none() {
                    report(Fault::of(FaultKind::ContentLength, name));
                }
            }
            b"host" => {
                if is_host_and_port(value) {
                    self.host = Some(Host::Of(value));
                } else {
                    self.host = Some(Host::Invalid);
                    report(Fault::of(FaultKind::Host, name));
                }
            }
            b"te" if self.version == Version::Http2 && !value.eq_ignore_ascii_case(b"trailers") => {
                report(Fault::of(FaultKind::ConnectionHeader, name));
            }
            b"transfer-encoding" => {
                self.has_transfer_encoding = true;
                if self.version == Version::Http2 {
                    report(Fault::of(FaultKind::ConnectionHeader, name));
                } else if self.version == Version::Http10 || !ends_in_one_chunked(value) {
                    report(Fault::of(FaultKind::TransferEncoding, name));
                }
            }
            _ => {}
        }
    }

    /// The announced length of the body, if there is one and it is a number.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Reports what only shows when all fields are known. `fields` gives the same once more, which
    /// is asked of it only if a value holds a suspicious character or a name an underscore.
    #[inline]
    pub fn finish<I>(&self, head: Head<'_>, fields: impl Fn() -> I, report: &mut impl FnMut(Fault))
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])>,
    {
        if self.suspicious {
            self.find_bad_values(fields(), report);
        }
        if self.has_content_length && self.has_transfer_encoding {
            report(Fault::of(FaultKind::TwoLengths, b"content-length"));
        }
        match (self.host, head.authority) {
            // A target in absolute form names the host as well; HTTP/2 has `:authority` instead of
            // `host` and requires neither, and HTTP/1.0 is older than both.
            (None, None) if self.version == Version::Http11 && !self.rules.missing_host => {
                report(Fault::of(FaultKind::HostMissing, b"host"));
            }
            (_, None) => {}
            (_, Some(authority)) if !is_host_and_port(authority) => {
                report(Fault::of(FaultKind::Host, b""));
            }
            (Some(Host::Of(host)), Some(authority)) if !same_host(host, authority, head.scheme) => {
                report(Fault::of(FaultKind::HostMismatch, b"host"));
            }
            (_, Some(_)) => {}
        }
        if self.underscore
            && !self.rules.ambiguous_names
            && Names::collide(fields().into_iter().map(|(name, _)| name))
        {
            report(Fault::of(FaultKind::AmbiguousName, b""));
        }
    }

    #[cold]
    fn find_bad_values(
        &self,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        report: &mut impl FnMut(Fault),
    ) {
        for (name, value) in fields {
            if !chars::accepts(value, self.rules.obs_text) {
                report(Fault::of(FaultKind::ValueChars, name));
            }
        }
    }
}

/// What a request says outside its fields.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Head<'a> {
    authority: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    /// The authority of the request target: `:authority`, or that of a target in absolute form.
    #[must_use]
    pub const fn with_authority(mut self, authority: Option<&'a [u8]>) -> Self {
        self.authority = authority;
        self
    }

    /// The scheme of the request target, which tells what its default port is.
    #[must_use]
    pub const fn with_scheme(mut self, scheme: Option<&'a [u8]>) -> Self {
        self.scheme = scheme;
        self
    }
}

/// What the field `host` holds.
#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    /// Something else, and that was reported.
    Invalid,
    Of(&'a [u8]),
}

/// How messages are delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Version {
    /// HTTP/1.0 and older, which have no transfer encodings.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 and later, which have no fields about the connection.
    Http2,
}

/// `1*DIGIT` that fits into 64 bits (RFC 9110, section 8.6).
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn ends_in_one_chunked(value: &[u8]) -> bool {
    let mut codings = value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    codings.next_back().is_some_and(is_chunked) && !codings.any(is_chunked)
}

fn same_host(a: &[u8], b: &[u8], scheme: Option<&[u8]>) -> bool {
    let default_port: &[u8] = match scheme {
        Some(b"http") => b":80",
        Some(b"https") => b":443",
        _ => b"",
    };
    let bare = |host| <[u8]>::strip_suffix(host, default_port).unwrap_or(host);
    bare(a).eq_ignore_ascii_case(bare(b))
}

#[cfg(test)]
mod tests;
