//! Engine: which of the arguable heads pass, and what is said of those that do not.

use core::fmt;

use super::{Scan, Version, well_known};

/// Which of the arguable heads pass. The rest is listed in the [module's docs](super).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FramingRules {
    pub(super) ambiguous_names: bool,
    pub(super) missing_host: bool,
    pub(super) obs_text: ObsText,
    pub(super) repeated_forwarded: bool,
}

impl FramingRules {
    /// For plain HTTP: nothing arguable passes.
    #[must_use]
    pub const fn http() -> Self {
        Self {
            ambiguous_names: false,
            missing_host: false,
            obs_text: ObsText::Reject,
            repeated_forwarded: false,
        }
    }

    /// For gRPC: as [`http`](Self::http), except that `a_b` may stand beside `a-b`, because both
    /// are metadata keys that gRPC libraries tell apart.
    #[must_use]
    pub const fn grpc() -> Self {
        Self {
            ambiguous_names: true,
            ..Self::http()
        }
    }

    /// For a host of connect-plugin services: nothing arguable passes.
    #[must_use]
    pub const fn plugin() -> Self {
        Self::http()
    }

    /// Lets two names differ in nothing but `_` and `-`.
    #[must_use]
    pub const fn with_ambiguous_names(mut self, allow: bool) -> Self {
        self.ambiguous_names = allow;
        self
    }

    /// Lets an HTTP/1.1 request come without `host`, for requests that are made in this process
    /// and that no HTTP client has completed. A server on a network must refuse them (RFC 9112,
    /// section 3.2).
    #[must_use]
    pub const fn with_missing_host(mut self, allow: bool) -> Self {
        self.missing_host = allow;
        self
    }

    /// What to do with octets above 0x7F in values.
    #[must_use]
    pub const fn with_obs_text(mut self, obs_text: ObsText) -> Self {
        self.obs_text = obs_text;
        self
    }

    /// Lets `x-forwarded-*` fields be repeated, for chains of proxies that add a line each instead
    /// of extending the one there is.
    #[must_use]
    pub const fn with_repeated_forwarded(mut self, allow: bool) -> Self {
        self.repeated_forwarded = allow;
        self
    }

    /// Starts on one request.
    #[must_use]
    pub const fn scan<'a>(self, version: Version) -> Scan<'a> {
        Scan::new(self, version)
    }
}

/// What to do with octets above 0x7F in field values (`obs-text` of RFC 9110, section 5.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ObsText {
    /// Let them pass, whatever they encode. What gRPC asks of implementations.
    Allow,
    /// Refuse the request. The default: no two programs agree on what they spell.
    Reject,
}

/// One thing wrong with a head. Holds nothing the caller sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    kind: FaultKind,
    header: Option<&'static str>,
}

impl Fault {
    #[cold]
    pub(super) fn of(kind: FaultKind, name: &[u8]) -> Self {
        Self {
            kind,
            header: well_known(name),
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The field's name, if it is a [well-known](super::well_known) one.
    #[must_use]
    pub const fn header(&self) -> Option<&'static str> {
        self.header
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.description())
    }
}

impl core::error::Error for Fault {}

/// What can be wrong with a head.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Two names differ in nothing but `_` and `-`.
    AmbiguousName,
    /// A field about the connection, where the protocol has none.
    ConnectionHeader,
    /// A length that is not a number.
    ContentLength,
    /// A second field of a name that has one value.
    Duplicate,
    /// Not a host and port.
    Host,
    /// `host` is not the authority of the request target.
    HostMismatch,
    /// No `host` where HTTP/1.1 requires one.
    HostMissing,
    /// A transfer encoding that does not say where the message ends.
    TransferEncoding,
    /// `content-length` beside `transfer-encoding`.
    TwoLengths,
    /// A character that does not belong in a value.
    ValueChars,
}

impl FaultKind {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::AmbiguousName => "AMBIGUOUS_NAME",
            Self::ConnectionHeader
            | Self::ContentLength
            | Self::Host
            | Self::HostMismatch
            | Self::HostMissing
            | Self::TransferEncoding
            | Self::TwoLengths => "FRAMING",
            Self::Duplicate => "DUPLICATE",
            Self::ValueChars => "VALUE_CHARS",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::AmbiguousName => "two header field names differ only in _ and -",
            Self::ConnectionHeader => "a header field about the connection has no place here",
            Self::ContentLength => "content-length is not a number",
            Self::Duplicate => "a header field is repeated that may be sent once",
            Self::Host => "the host is not a host and port",
            Self::HostMismatch => "host is not the authority of the request target",
            Self::HostMissing => "host is missing",
            Self::TransferEncoding => "transfer-encoding does not end in one chunked",
            Self::TwoLengths => "content-length is sent with transfer-encoding",
            Self::ValueChars => "a header field value holds a character that is not allowed",
        }
    }
}
