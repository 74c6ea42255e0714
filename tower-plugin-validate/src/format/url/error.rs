//! Engine: what can be wrong with a URL.

use core::fmt;

/// Why a URL was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// A character no path or query has, or a fragment.
    Characters,
    /// Neither a host name nor a plainly written address.
    Host,
    /// A host that is not on the list.
    NotAllowed,
    /// A host that is not on the public internet.
    NotPublic,
    /// A path that can be read in two ways.
    Path,
    /// No port from 1 to 65,535.
    Port,
    /// Another scheme, or none.
    Scheme,
    /// More than 2048 bytes.
    TooLong,
    /// User information before the host.
    UserInformation,
}

impl InvalidUrl {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Characters => "URL_CHARS",
            Self::Host => "URL_HOST",
            Self::NotAllowed => "URL_HOST_NOT_ALLOWED",
            Self::NotPublic => "URL_HOST_NOT_PUBLIC",
            Self::Path => "URL_PATH",
            Self::Port => "URL_PORT",
            Self::Scheme => "URL_SCHEME",
            Self::TooLong => "URL_SIZE",
            Self::UserInformation => "URL_USER_INFORMATION",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Characters => "must be a URL without a fragment or characters to be encoded",
            Self::Host => "must be a URL with a host name or a plain address",
            Self::NotAllowed => "must be a URL of a host that is allowed",
            Self::NotPublic => "must be a URL of a public host",
            Self::Path => "must be a URL whose path is in canonical form",
            Self::Port => "must be a URL with a port from 1 to 65535, or none",
            Self::Scheme => "must be a URL with an allowed scheme",
            Self::TooLong => "must be a URL of at most 2048 bytes",
            Self::UserInformation => "must be a URL without user information",
        }
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl core::error::Error for InvalidUrl {}
