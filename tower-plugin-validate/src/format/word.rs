//! Engine: names that are safe as one segment of a path.

use super::scan::{ALNUM, ALPHA, DOT, HYPHEN, UNDERSCORE, all, is, step};

/// A letter, then letters, digits, `_`, `-` and dots that stand alone and not at the end.
pub(super) fn is_name(text: &[u8]) -> bool {
    text.first().is_some_and(|&b| is(b, ALPHA))
        && text.last() != Some(&b'.')
        && all(text, ALNUM | DOT | HYPHEN | UNDERSCORE)
        && !has_double_dot(text)
}

/// Whether two dots follow one another.
pub(super) fn has_double_dot(text: &[u8]) -> bool {
    step(text.len());
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    pairs.fold(false, |any, (&a, &b)| any | ((a == b'.') & (b == b'.')))
}
