//! Engine: the names of the limits, and being over one.

use core::fmt;

/// One of the numbers in a [`JsonShape`](super::JsonShape).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ShapeLimit {
    /// The length of the text.
    Bytes,
    /// Arrays and objects within each other.
    Depth,
    /// Elements in one array.
    Elements,
    /// Members in one object.
    Members,
    /// The length of one string or member name.
    StringBytes,
    /// Values in all.
    Values,
}

impl ShapeLimit {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Bytes => "BODY_SIZE",
            Self::Depth => "JSON_DEPTH",
            Self::Elements => "JSON_ARRAY_SIZE",
            Self::Members => "JSON_OBJECT_SIZE",
            Self::StringBytes => "JSON_STRING_SIZE",
            Self::Values => "JSON_SIZE",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Bytes => "the body is too large",
            Self::Depth => "the JSON is nested too deeply",
            Self::Elements => "a JSON array has too many elements",
            Self::Members => "a JSON object has too many members",
            Self::StringBytes => "a JSON string is too long",
            Self::Values => "the JSON holds too many values",
        }
    }
}

/// A JSON text is over a limit of its [`JsonShape`](super::JsonShape).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShapeExceeded {
    limit: ShapeLimit,
}

impl ShapeExceeded {
    pub(super) const fn of(limit: ShapeLimit) -> Self {
        Self { limit }
    }

    /// Which limit it is over.
    #[must_use]
    pub const fn limit(&self) -> ShapeLimit {
        self.limit
    }
}

impl fmt::Display for ShapeExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.limit.description())
    }
}

impl core::error::Error for ShapeExceeded {}
