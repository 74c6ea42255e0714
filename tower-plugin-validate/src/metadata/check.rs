//! Engine: one check of one value.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use super::finding::Words;
use crate::format::{Format, UrlRule};

/// A check, with what a caller is told when it fails.
#[derive(Clone)]
pub(super) enum Check {
    Custom {
        reason: &'static str,
        description: Cow<'static, str>,
        holds: Arc<Holds>,
    },
    Format(Format),
    Integer {
        min: i64,
        max: i64,
        description: Arc<str>,
    },
    OneOf {
        /// Sorted.
        values: Arc<[Box<[u8]>]>,
        description: Arc<str>,
    },
    #[cfg(feature = "pattern")]
    Pattern(super::Pattern),
    Url(UrlRule),
}

pub(super) type Holds = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Check {
    /// Whether a value passes.
    #[inline]
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Custom { holds, .. } => holds(value),
            Self::Format(format) => format.check(value).is_ok(),
            Self::Integer { min, max, .. } => {
                integer(value).is_some_and(|value| (*min..=*max).contains(&value))
            }
            Self::OneOf { values, .. } => is_one_of(values, value),
            #[cfg(feature = "pattern")]
            Self::Pattern(pattern) => pattern.is_match(value),
            Self::Url(rule) => rule.check(value).is_ok(),
        }
    }

    /// The reason and the description of a value that does not pass.
    #[cold]
    pub(super) fn failure(&self, value: &[u8]) -> (&'static str, Words<'_>) {
        match self {
            Self::Custom {
                reason,
                description: Cow::Borrowed(words),
                ..
            } => (reason, Words::Ours(words)),
            Self::Custom {
                reason,
                description: Cow::Owned(words),
                ..
            } => (reason, Words::Schema(words)),
            Self::Format(format) => (format.reason(), Words::Ours(format.description())),
            Self::Integer { description, .. } => ("INTEGER", Words::Schema(description)),
            Self::OneOf { description, .. } => ("ONE_OF", Words::Schema(description)),
            #[cfg(feature = "pattern")]
            Self::Pattern(pattern) => ("PATTERN", Words::Schema(pattern.description())),
            Self::Url(rule) => match rule.check(value) {
                Err(invalid) => (invalid.reason(), Words::Ours(invalid.description())),
                Ok(()) => ("URL", Words::Ours("must be a URL")),
            },
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom { reason, .. } => f.debug_tuple("Custom").field(reason).finish(),
            Self::Format(format) => f.debug_tuple("Format").field(format).finish(),
            Self::Integer { min, max, .. } => {
                f.debug_tuple("Integer").field(&(*min..=*max)).finish()
            }
            Self::OneOf { values, .. } => f.debug_tuple("OneOf").field(&values.len()).finish(),
            #[cfg(feature = "pattern")]
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Url(rule) => f.debug_tuple("Url").field(rule).finish(),
        }
    }
}

/// Whether it is in a sorted list.
#[inline(never)]
fn is_one_of(values: &[Box<[u8]>], value: &[u8]) -> bool {
    let found = values.binary_search_by(|listed| (**listed).cmp(value));
    found.is_ok()
}

/// `-?(0|[1-9][0-9]*)` that fits into 64 bits; not `-0`.
fn integer(value: &[u8]) -> Option<i64> {
    let (negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [] | [b'0', ..] => return None,
        _ => {}
    }
    // Downwards, because there is one negative number more.
    let value = digits.iter().try_fold(0_i64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| i64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_sub(digit)
    })?;
    if negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}
