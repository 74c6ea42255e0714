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
    /// The reason and the description, if the value fails.
    #[inline]
    pub(super) fn failure(&self, value: &[u8]) -> Option<(&'static str, Words<'_>)> {
        match self {
            Self::Custom {
                reason,
                description,
                holds,
            } => (!holds(value)).then_some((
                *reason,
                match description {
                    Cow::Borrowed(words) => Words::Ours(words),
                    Cow::Owned(words) => Words::Schema(words),
                },
            )),
            Self::Format(format) => format
                .check(value)
                .err()
                .map(|_| (format.reason(), Words::Ours(format.description()))),
            Self::Integer {
                min,
                max,
                description,
            } => {
                let fits = integer(value).is_some_and(|value| (*min..=*max).contains(&value));
                (!fits).then_some(("INTEGER", Words::Schema(description)))
            }
            Self::OneOf {
                values,
                description,
            } => {
                let listed = values.binary_search_by(|listed| (**listed).cmp(value));
                listed
                    .is_err()
                    .then_some(("ONE_OF", Words::Schema(description)))
            }
            #[cfg(feature = "pattern")]
            Self::Pattern(pattern) => (!pattern.is_match(value))
                .then_some(("PATTERN", Words::Schema(pattern.description()))),
            Self::Url(rule) => rule
                .check(value)
                .err()
                .map(|invalid| (invalid.reason(), Words::Ours(invalid.description()))),
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
