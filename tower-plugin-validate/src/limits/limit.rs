//! Engine: the names of the limits, and being over one.

use core::fmt;

/// One of the numbers in [`Limits`](super::Limits).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// The announced length of the body.
    DeclaredBody,
    /// The number of header fields.
    HeaderCount,
    /// The sum over all fields of name + value + 32.
    HeaderListBytes,
    /// The length of one field name.
    NameBytes,
    /// The length of the path.
    PathBytes,
    /// The number of segments in the path.
    PathSegments,
    /// The length of the query.
    QueryBytes,
    /// The number of parameters in the query, counted by `&`.
    QueryParams,
    /// The length of one segment of the path, as sent.
    SegmentBytes,
    /// The length of the whole request target.
    UriBytes,
    /// The length of one field value.
    ValueBytes,
    /// The number of fields of one name. Does not apply to `cookie`, of which HTTP/2 clients send
    /// as many as they have cookies.
    ValuesPerName,
}

impl Limit {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DeclaredBody => "BODY_SIZE",
            Self::HeaderCount => "HEADER_COUNT",
            Self::HeaderListBytes => "HEADER_LIST_SIZE",
            Self::NameBytes => "HEADER_NAME_SIZE",
            Self::PathBytes
            | Self::PathSegments
            | Self::QueryBytes
            | Self::QueryParams
            | Self::SegmentBytes
            | Self::UriBytes => "URI_SIZE",
            Self::ValueBytes => "HEADER_VALUE_SIZE",
            Self::ValuesPerName => "DUPLICATE",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::DeclaredBody => "the body is too large",
            Self::HeaderCount => "there are too many header fields",
            Self::HeaderListBytes => "the header fields are too large together",
            Self::NameBytes => "a header field name is too long",
            Self::PathBytes => "the path is too long",
            Self::PathSegments => "the path has too many segments",
            Self::QueryBytes => "the query is too long",
            Self::QueryParams => "the query has too many parameters",
            Self::SegmentBytes => "a path segment is too long",
            Self::UriBytes => "the request target is too long",
            Self::ValueBytes => "a header field value is too long",
            Self::ValuesPerName => "a header field is repeated too often",
        }
    }
}

/// A request is over a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exceeded {
    limit: Limit,
}

impl Exceeded {
    pub(super) const fn of(limit: Limit) -> Self {
        Self { limit }
    }

    /// Which limit it is over.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.limit.description())
    }
}

impl core::error::Error for Exceeded {}
