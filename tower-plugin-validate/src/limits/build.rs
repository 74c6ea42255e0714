//! Engine: numbers for [`Limits`], refused when they make no sense.

use core::fmt;

use super::{Limit, Limits};

/// Sets the numbers of [`Limits`]. The last value set for a field counts; nothing is checked
/// before [`build`](Self::build).
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct LimitsBuilder {
    pub(super) limits: Limits,
}

impl LimitsBuilder {
    /// Header fields in a request, 1 to 1024.
    pub const fn header_count(mut self, fields: usize) -> Self {
        self.limits.header_count = fields;
        self
    }

    /// Sum over all fields of name + value + 32, in bytes, 64 to 1 MiB.
    pub const fn header_list_bytes(mut self, bytes: usize) -> Self {
        self.limits.header_list_bytes = bytes;
        self
    }

    /// Length of a field name in bytes, 1 to 65,535.
    pub const fn name_bytes(mut self, bytes: usize) -> Self {
        self.limits.name_bytes = bytes;
        self
    }

    /// Length of a field value in bytes, 1 to 1 MiB.
    pub const fn value_bytes(mut self, bytes: usize) -> Self {
        self.limits.value_bytes = bytes;
        self
    }

    /// Fields of one name other than `cookie`, 1 to 1024.
    pub const fn values_per_name(mut self, values: usize) -> Self {
        self.limits.values_per_name = values;
        self
    }

    /// Length of the whole request target in bytes, 1 to 65,534 (the most that the `http` crate
    /// holds).
    pub const fn uri_bytes(mut self, bytes: usize) -> Self {
        self.limits.uri_bytes = bytes;
        self
    }

    /// Length of the path in bytes, 1 to 65,534.
    pub const fn path_bytes(mut self, bytes: usize) -> Self {
        self.limits.path_bytes = bytes;
        self
    }

    /// Segments in the path, 1 to 1024. `/a/b/` has three, the last one empty.
    pub const fn path_segments(mut self, segments: usize) -> Self {
        self.limits.path_segments = segments;
        self
    }

    /// Length of one path segment as sent, in bytes, 1 to 65,534.
    pub const fn segment_bytes(mut self, bytes: usize) -> Self {
        self.limits.segment_bytes = bytes;
        self
    }

    /// Length of the query without its `?`, in bytes, 1 to 65,534.
    pub const fn query_bytes(mut self, bytes: usize) -> Self {
        self.limits.query_bytes = bytes;
        self
    }

    /// Parameters in the query, 1 to 10,000.
    pub const fn query_params(mut self, params: usize) -> Self {
        self.limits.query_params = params;
        self
    }

    /// Length a request may announce for its body, in bytes, 1 to 1 TiB.
    ///
    /// A body sent without `content-length` is not counted: limit what is read as well.
    pub const fn declared_body(mut self, bytes: u64) -> Self {
        self.limits.declared_body = Some(bytes);
        self
    }

    /// Lets a request announce any length for its body.
    pub const fn any_declared_body(mut self) -> Self {
        self.limits.declared_body = None;
        self
    }

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// [`InvalidLimit`] naming the first field that is outside the range its setter states.
    pub fn build(self) -> Result<Limits, InvalidLimit> {
        for &(limit, field, min, max) in RANGES {
            let value = self.limits.max(limit);
            if value.is_some_and(|value| !(min..=max).contains(&value)) {
                return Err(InvalidLimit { field, min, max });
            }
        }
        Ok(self.limits)
    }
}

/// A limit that is zero, or so large that it limits nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidLimit {
    field: &'static str,
    min: u64,
    max: u64,
}

impl InvalidLimit {
    pub(crate) const fn new(field: &'static str, min: u64, max: u64) -> Self {
        Self { field, min, max }
    }

    /// The name of the setter that was given the number.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The smallest number allowed.
    #[must_use]
    pub const fn min(&self) -> u64 {
        self.min
    }

    /// The largest number allowed.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, min, max } = self;
        write!(f, "{field} must be between {min} and {max}")
    }
}

impl core::error::Error for InvalidLimit {}

const RANGES: &[(Limit, &str, u64, u64)] = &[
    (Limit::HeaderCount, "header_count", 1, 1024),
    (Limit::HeaderListBytes, "header_list_bytes", 64, 1 << 20),
    (Limit::NameBytes, "name_bytes", 1, 65_535),
    (Limit::ValueBytes, "value_bytes", 1, 1 << 20),
    (Limit::ValuesPerName, "values_per_name", 1, 1024),
    (Limit::UriBytes, "uri_bytes", 1, 65_534),
    (Limit::PathBytes, "path_bytes", 1, 65_534),
    (Limit::PathSegments, "path_segments", 1, 1024),
    (Limit::SegmentBytes, "segment_bytes", 1, 65_534),
    (Limit::QueryBytes, "query_bytes", 1, 65_534),
    (Limit::QueryParams, "query_params", 1, 10_000),
    (Limit::DeclaredBody, "declared_body", 1, 1 << 40),
];
