//! Engine: host names.

use super::scan::step;
use crate::octets::{any_pair, is_digit, is_letter};

/// At least two labels, the last of which starts with a letter.
#[inline(never)]
pub(super) fn is_domain(text: &[u8]) -> bool {
    matches!(last_label(text), Some(last) if last.len() < text.len() && starts_with_letter(last))
}

/// One label that starts with a letter: a name on a local network.
pub(super) fn is_local_name(text: &[u8]) -> bool {
    matches!(last_label(text), Some(last) if last.len() == text.len() && starts_with_letter(last))
}

fn starts_with_letter(label: &[u8]) -> bool {
    label.first().is_some_and(|&b| is_letter(b))
}

/// What follows the last dot, if each label is letters, digits and inner hyphens.
fn last_label(text: &[u8]) -> Option<&[u8]> {
    let (first, last) = (*text.first()?, *text.last()?);
    if text.len() > MAX_NAME || !is_alphanumeric(first) || !is_alphanumeric(last) {
        return None;
    }
    step(text.len());
    if any_pair(text, do_not_meet) {
        return None;
    }
    step(text.len());
    if text.len() > MAX_LABEL && text.split(|&b| b == b'.').any(|l| l.len() > MAX_LABEL) {
        return None;
    }
    text.rsplit(|&b| b == b'.').next()
}

/// Whether the second may not come after the first in any name.
#[inline]
fn do_not_meet(a: u8, b: u8) -> bool {
    let inner = (b == b'-') & (a != b'.');
    let end = (b == b'.') & (a != b'.') & (a != b'-');
    !(is_alphanumeric(b) | inner | end)
}

#[inline]
fn is_alphanumeric(b: u8) -> bool {
    is_letter(b) | is_digit(b)
}

/// RFC 1035, section 2.3.4, as text.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
