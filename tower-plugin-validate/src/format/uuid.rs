//! Engine: UUIDs.

use super::scan::step;
use crate::octets::is_hex;

#[inline(never)]
pub(super) fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else {
        return false;
    };
    step(text.len());
    let hyphens = (text[8] == b'-') & (text[13] == b'-') & (text[18] == b'-') & (text[23] == b'-');
    // Zeros in their places, which costs a vector one instruction.
    let mut digits = *text;
    (digits[8], digits[13], digits[18], digits[23]) = (b'0', b'0', b'0', b'0');
    // No early exit and no branches: a UUID is the rule.
    hyphens & digits.iter().fold(true, |all, &b| all & is_hex(b))
}
