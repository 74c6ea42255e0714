//! Engine: UUIDs.

use super::scan::step;
use crate::octets::is_hex;

pub(super) fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else {
        return false;
    };
    step(text.len());
    // No early exit and no branches: a UUID is the rule, and the loop becomes vectors.
    text.iter().zip(&HYPHENS).fold(true, |all, (&b, &hyphen)| {
        all & ((is_hex(b) & !hyphen) | ((b == b'-') & hyphen))
    })
}

static HYPHENS: [bool; 36] = {
    let mut places = [false; 36];
    places[8] = true;
    places[13] = true;
    places[18] = true;
    places[23] = true;
    places
};
