//! Engine: what the values of one name may be.

use core::ops::RangeInclusive;
use std::{borrow::Cow, sync::Arc};

use super::check::Check;
use crate::format::{Format, UrlRule};

/// What the values of one name may be.
///
/// A rule asks for one value of text of at most 4096 bytes, if the field is there at all; the
/// methods ask for more or allow it. Nothing is checked before [`SchemaBuilder::build`].
///
/// Whatever the rule, control characters are refused by the [framing rules](crate::framing).
///
/// [`SchemaBuilder::build`]: super::SchemaBuilder::build
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    pub(super) checks: Vec<Check>,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) max_values: usize,
    pub(super) max_items: Option<usize>,
    pub(super) min_bytes: usize,
    pub(super) max_bytes: usize,
    pub(super) max_names: Option<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Binary,
    Forbidden,
    Text,
}

impl Rule {
    /// Any text that is not empty.
    pub const fn text() -> Self {
        Self::of(Kind::Text, 1, 4096)
    }

    /// Base64 that decodes to at most so many bytes, for a name that ends in `-bin`. The lengths
    /// of the rule, and its custom checks, are about what it decodes to.
    pub const fn binary(max_bytes: usize) -> Self {
        Self::of(Kind::Binary, 0, max_bytes)
    }

    /// No value at all: the name may not be sent. As the rule of a prefix, it closes the prefix to
    /// names that have no rule of their own.
    pub const fn forbidden() -> Self {
        Self::of(Kind::Forbidden, 0, 1)
    }

    /// One of these texts, compared octet by octet.
    pub fn one_of<I>(values: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let values: Vec<String> = values.into_iter().map(|v| v.as_ref().to_owned()).collect();
        let description = format!("must be one of {}", values.join(", "));
        let mut sorted: Vec<Box<[u8]>> =
            values.into_iter().map(|v| v.into_bytes().into()).collect();
        sorted.sort_unstable();
        Self::text().with(Check::OneOf {
            values: sorted.into(),
            description: description.into(),
        })
    }

    /// A whole number in a range, in decimal digits without a plus sign or leading zeros.
    pub fn integer(range: RangeInclusive<i64>) -> Self {
        let (min, max) = range.into_inner();
        Self::text().with(Check::Integer {
            min,
            max,
            description: format!("must be a whole number from {min} to {max}").into(),
        })
    }

    /// A URL that the server may be asked to call.
    pub fn url(rule: UrlRule) -> Self {
        Self::text().with(Check::Url(rule))
    }

    /// A text that a regular expression matches.
    #[cfg(feature = "pattern")]
    #[cfg_attr(docsrs, doc(cfg(feature = "pattern")))]
    pub fn pattern(pattern: super::Pattern) -> Self {
        Self::text().with(Check::Pattern(pattern))
    }

    /// Asks for this format as well.
    pub fn format(self, format: Format) -> Self {
        self.with(Check::Format(format))
    }

    /// Asks `holds` about each value as well, after the other checks. What it returns must follow
    /// from the value alone. `reason` is for programs, in `UPPER_SNAKE_CASE` and at most 63 bytes;
    /// `description` completes the sentence that starts with the name ("must be even").
    ///
    /// It runs within the request: keep it linear in the length, and let it not panic.
    pub fn custom(
        self,
        reason: &'static str,
        description: impl Into<Cow<'static, str>>,
        holds: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(Check::Custom {
            reason,
            description: description.into(),
            holds: Arc::new(holds),
        })
    }

    /// The field must be there with a value that is not empty.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The field may be sent up to so many times, 1 to 1024, and each value obeys the rule.
    pub const fn repeated(mut self, max: usize) -> Self {
        self.max_values = max;
        self
    }

    /// A value is a list of 1 to `max` items, at most 1024, separated by commas and spaces; each
    /// item obeys the rule, its lengths included.
    pub const fn list(mut self, max: usize) -> Self {
        self.max_items = Some(max);
        self
    }

    /// The shortest value in bytes, 0 to 1 MiB. With 0, a field may be there without a value.
    pub const fn min_bytes(mut self, bytes: usize) -> Self {
        self.min_bytes = bytes;
        self
    }

    /// The longest value in bytes, 1 to 1 MiB.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// For a prefix: at most so many different names that have no rule of their own, 1 to 1024.
    pub const fn max_names(mut self, names: usize) -> Self {
        self.max_names = Some(names);
        self
    }

    const fn of(kind: Kind, min_bytes: usize, max_bytes: usize) -> Self {
        Self {
            checks: Vec::new(),
            kind,
            required: false,
            max_values: 1,
            max_items: None,
            min_bytes,
            max_bytes,
            max_names: None,
        }
    }

    fn with(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }
}

/// One optional value of a format.
impl From<Format> for Rule {
    fn from(format: Format) -> Self {
        Self::text().format(format)
    }
}
