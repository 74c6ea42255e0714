//! Engine: names that are safe as one segment of a path.

use super::scan::step;
use crate::octets::{all, any_pair, is_digit, is_letter};

/// A letter, then letters, digits, `_`, `-` and dots that stand alone and not at the end.
#[inline(never)]
pub(super) fn is_name(text: &[u8]) -> bool {
    step(text.len());
    let allowed = |b| is_letter(b) | is_digit(b) | (b == b'.') | (b == b'_') | (b == b'-');
    text.first().is_some_and(|&b| is_letter(b))
        && text.last() != Some(&b'.')
        && all(text, allowed)
        && !has_double_dot(text)
}

/// Whether two dots follow one another.
pub(super) fn has_double_dot(text: &[u8]) -> bool {
    step(text.len());
    any_pair(text, |a, b| (a == b'.') & (b == b'.'))
}
