//! Engine: looking at every octet of a short text at the speed of a long one.
//!
//! Names and values are mostly of 4 to 60 octets. A loop over them spends its time on what is left
//! over after the last full vector; here the last vector overlaps the one before it instead.

use super::ObsText;

/// Whether a value holds nothing but tabs, printable ASCII and, if allowed, octets above 0x7F.
#[inline]
pub(super) fn accepts(value: &[u8], obs_text: ObsText) -> bool {
    match obs_text {
        ObsText::Allow => all(value, |b| is_printable(b) | (b >= 0x80)),
        ObsText::Reject => all(value, is_printable),
    }
}

#[inline]
pub(super) fn has_underscore(name: &[u8]) -> bool {
    !all(name, |b| b != b'_')
}

const fn is_printable(b: u8) -> bool {
    // One comparison for 0x20 to 0x7E.
    (b.wrapping_sub(0x20) < 0x5f) | (b == b'\t')
}

#[inline]
fn all(text: &[u8], test: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = text.last_chunk::<16>() {
        let (chunks, _) = text.as_chunks::<16>();
        // No early exit: what is looked for is rare, and the loop vectorises without one.
        chunks
            .iter()
            .fold(every(last, test), |all, chunk| all & every(chunk, test))
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        every(first, test) & every(last, test)
    } else {
        text.iter().fold(true, |all, &b| all & test(b))
    }
}

#[inline]
fn every<const N: usize>(octets: &[u8; N], test: impl Fn(u8) -> bool) -> bool {
    octets.iter().fold(true, |all, &b| all & test(b))
}
