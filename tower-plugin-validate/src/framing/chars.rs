//! Engine: which characters there are in names and values.

use super::ObsText;
use crate::octets::all;

/// Whether a value holds nothing but tabs, printable ASCII and, if allowed, octets above 0x7F.
#[inline]
pub(super) fn accepts(value: &[u8], obs_text: ObsText) -> bool {
    match obs_text {
        ObsText::Allow => all(value, |b| is_printable(b) | (b >= 0x80)),
        ObsText::Reject => all(value, is_printable),
    }
}

const fn is_printable(b: u8) -> bool {
    // One comparison for 0x20 to 0x7E.
    (b.wrapping_sub(0x20) < 0x5f) | (b == b'\t')
}
