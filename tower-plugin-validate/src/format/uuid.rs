//! Engine: UUIDs.

use super::scan::{HEX, is, step};

pub(super) fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else {
        return false;
    };
    step(text.len());
    // No early exit: a UUID is the rule.
    text.iter().enumerate().fold(true, |all, (i, &b)| {
        all & match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => is(b, HEX),
        }
    })
}
