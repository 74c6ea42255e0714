//! Engine: how much a request head may hold, and how large a body it may announce.
//!
//! Sizes are bytes on the wire before decoding. The size of a header list is the sum over its
//! fields of name + value + 32, as HTTP/2 counts it (RFC 9113, section 6.5.2).

mod build;
mod limit;

pub use build::{InvalidLimit, LimitsBuilder};
pub use limit::{Exceeded, Limit};

/// What a request head may hold. Every number is a maximum and is itself allowed.
///
/// These limits run after the server has parsed the request, so they only bite where they are
/// below the server's own (hyper: 100 fields, HTTP/2 header lists of 16 KiB).
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::limits::{Limit, Limits};
///
/// let limits = Limits::http().to_builder().header_count(40).build()?;
/// assert_eq!(limits.max(Limit::HeaderCount), Some(40));
/// assert_eq!(limits.max(Limit::DeclaredBody), None);
///
/// let refused = limits.check_target(9000, b"/", None).unwrap_err();
/// assert_eq!(refused.limit(), Limit::UriBytes);
/// # Ok::<_, tower_plugin_validate::limits::InvalidLimit>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    header_count: usize,
    header_list_bytes: usize,
    name_bytes: usize,
    value_bytes: usize,
    values_per_name: usize,
    uri_bytes: usize,
    path_bytes: usize,
    path_segments: usize,
    segment_bytes: usize,
    query_bytes: usize,
    query_params: usize,
    declared_body: Option<u64>,
}

impl Limits {
    /// For plain HTTP: 100 fields, a 16 KiB header list, names of 256 bytes, values of 8 KiB, 16
    /// values per name; URI 8 KiB, path 2048 in 64 segments of 255 bytes, query 4096 with 100
    /// parameters. A declared body is not limited: what is too large differs from route to route.
    #[must_use]
    pub const fn http() -> Self {
        Self {
            header_count: 100,
            header_list_bytes: 16 * 1024,
            name_bytes: 256,
            value_bytes: 8 * 1024,
            values_per_name: 16,
            uri_bytes: 8 * 1024,
            path_bytes: 2048,
            path_segments: 64,
            segment_bytes: 255,
            query_bytes: 4096,
            query_params: 100,
            declared_body: None,
        }
    }

    /// For gRPC: as [`http`](Self::http) with an 8 KiB header list, names of 128 bytes, values of
    /// 4096 and a path of 512. A declared body is not limited, because a stream may declare any
    /// length.
    #[must_use]
    pub const fn grpc() -> Self {
        Self {
            header_list_bytes: 8 * 1024,
            name_bytes: 128,
            value_bytes: 4096,
            path_bytes: 512,
            ..Self::http()
        }
    }

    /// For a host of connect-plugin services: that protocol's 100 entries, names of 256 bytes,
    /// values of 4096 and paths of 256, under a 16 KiB header list; a declared body of 4 MiB.
    ///
    /// A host that proxies `/services/{type}/{id}/...` needs a longer
    /// [`path_bytes`](LimitsBuilder::path_bytes): type and id alone may take 128 bytes each.
    #[must_use]
    pub const fn plugin() -> Self {
        Self {
            value_bytes: 4096,
            path_bytes: 256,
            declared_body: Some(4 * 1024 * 1024),
            ..Self::http()
        }
    }

    /// Starts from the numbers of [`http`](Self::http).
    pub const fn builder() -> LimitsBuilder {
        Self::http().to_builder()
    }

    /// Starts from these numbers.
    pub const fn to_builder(self) -> LimitsBuilder {
        LimitsBuilder { limits: self }
    }

    /// The number behind a limit; `None` if it is off, which only
    /// [`DeclaredBody`](Limit::DeclaredBody) can be.
    #[must_use]
    pub const fn max(&self, limit: Limit) -> Option<u64> {
        let max = match limit {
            Limit::DeclaredBody => return self.declared_body,
            Limit::HeaderCount => self.header_count,
            Limit::HeaderListBytes => self.header_list_bytes,
            Limit::NameBytes => self.name_bytes,
            Limit::PathBytes => self.path_bytes,
            Limit::PathSegments => self.path_segments,
            Limit::QueryBytes => self.query_bytes,
            Limit::QueryParams => self.query_params,
            Limit::SegmentBytes => self.segment_bytes,
            Limit::UriBytes => self.uri_bytes,
            Limit::ValueBytes => self.value_bytes,
            Limit::ValuesPerName => self.values_per_name,
        };
        Some(max as u64)
    }

    /// Whether fields of these sizes are within the limits for certain.
    pub(crate) const fn allow(&self, sizes: &Sizes) -> bool {
        let bytes = sizes
            .bytes
            .saturating_add(sizes.count.saturating_mul(FIELD_OVERHEAD));
        sizes.count <= self.header_count
            && bytes <= self.header_list_bytes
            && sizes.name_lengths <= self.name_bytes
            && sizes.value_lengths <= self.value_bytes
            && sizes.most_values <= self.values_per_name
    }

    /// Starts counting the fields of one request.
    #[must_use]
    pub const fn tally(&self) -> Tally<'_> {
        Tally {
            limits: self,
            previous: &[],
            count: 0,
            bytes: 0,
            values: 0,
        }
    }

    /// Checks a request target: the length of the whole of it as received, its path and its query
    /// (without the `?`).
    ///
    /// # Errors
    ///
    /// [`Exceeded`] with the first of `UriBytes`, `PathBytes`, `QueryBytes`, `PathSegments`,
    /// `SegmentBytes` and `QueryParams` that is too large.
    pub fn check_target(
        &self,
        uri_bytes: usize,
        path: &[u8],
        query: Option<&[u8]>,
    ) -> Result<(), Exceeded> {
        let query = query.unwrap_or_default();
        within(uri_bytes, self.uri_bytes, Limit::UriBytes)?;
        within(path.len(), self.path_bytes, Limit::PathBytes)?;
        within(query.len(), self.query_bytes, Limit::QueryBytes)?;
        // A path holds at most as many segments as bytes, and no segment longer than itself, so
        // that a short path is not looked at.
        if path.len() > self.path_segments {
            let segments = count(path, b'/');
            within(segments, self.path_segments, Limit::PathSegments)?;
        }
        if path.len() > self.segment_bytes {
            let longest = path.split(|&b| b == b'/').map(<[u8]>::len).max();
            within(
                longest.unwrap_or_default(),
                self.segment_bytes,
                Limit::SegmentBytes,
            )?;
        }
        if query.len() >= self.query_params {
            within(
                count(query, b'&') + 1,
                self.query_params,
                Limit::QueryParams,
            )?;
        }
        Ok(())
    }

    /// Checks the length a request announces for its body (`content-length`).
    ///
    /// # Errors
    ///
    /// [`Exceeded`] with `DeclaredBody`.
    pub fn check_declared_body(&self, bytes: u64) -> Result<(), Exceeded> {
        match self.declared_body {
            Some(max) if bytes > max => Err(Exceeded::of(Limit::DeclaredBody)),
            _ => Ok(()),
        }
    }
}

/// How large the fields of a request are, in one look at all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) count: usize,
    /// Of names and values alone.
    pub(crate) bytes: usize,
    /// The lengths of all names by `|`: at least that of the longest, and less than twice as much.
    pub(crate) name_lengths: usize,
    /// The same of values.
    pub(crate) value_lengths: usize,
    /// Of one name.
    pub(crate) most_values: usize,
}

/// The count so far of one request's fields. Made by [`Limits::tally`].
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    limits: &'a Limits,
    previous: &'a [u8],
    count: usize,
    bytes: usize,
    values: usize,
}

impl<'a> Tally<'a> {
    /// Adds a field. Fields of one name must follow one another, as `http::HeaderMap` and HTTP/2
    /// libraries yield them, and all names be in lower case.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] as soon as one of `HeaderCount`, `NameBytes`, `ValueBytes`,
    /// `HeaderListBytes` and `ValuesPerName` is.
    #[inline]
    pub fn field(&mut self, name: &'a [u8], value: &[u8]) -> Result<(), Exceeded> {
        let again = self.count > 0 && name == self.previous;
        self.previous = name;
        self.next(if again { self.values + 1 } else { 1 }, name, value)
    }

    /// Adds a field, the `nth` of its name.
    #[inline]
    pub(crate) fn next(&mut self, nth: usize, name: &[u8], value: &[u8]) -> Result<(), Exceeded> {
        let limits = self.limits;
        self.count += 1;
        self.values = nth;
        let size = name.len() + value.len() + FIELD_OVERHEAD;
        let bytes = self.bytes.saturating_add(size);
        self.bytes = bytes;
        // One branch where all is well.
        let over = (self.count > limits.header_count)
            | (name.len() > limits.name_bytes)
            | (value.len() > limits.value_bytes)
            | (bytes > limits.header_list_bytes)
            | (self.values > limits.values_per_name);
        if over {
            self.exceeded(name, value)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn exceeded(&self, name: &[u8], value: &[u8]) -> Result<(), Exceeded> {
        let limits = self.limits;
        within(self.count, limits.header_count, Limit::HeaderCount)?;
        within(name.len(), limits.name_bytes, Limit::NameBytes)?;
        within(value.len(), limits.value_bytes, Limit::ValueBytes)?;
        within(self.bytes, limits.header_list_bytes, Limit::HeaderListBytes)?;
        // HTTP/2 clients send a field per cookie (RFC 9113, section 8.2.3).
        if name == b"cookie" {
            return Ok(());
        }
        within(self.values, limits.values_per_name, Limit::ValuesPerName)
    }
}

#[inline]
const fn within(size: usize, max: usize, limit: Limit) -> Result<(), Exceeded> {
    if size > max {
        Err(Exceeded::of(limit))
    } else {
        Ok(())
    }
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|&&b| b == wanted).count()
}

/// What HTTP/2 adds to every field's size, for the table entry that holds it.
const FIELD_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests;
