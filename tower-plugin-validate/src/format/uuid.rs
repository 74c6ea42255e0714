//! Engine: UUIDs.

use super::scan::step;
use crate::octets::is_hex;

pub(super) fn is_uuid(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 36]>::try_from(text) else {
        return false;
    };
    step(text.len());
    // No early exit and no branches: a UUID is the rule, and the loops become vectors. The last one
    // overlaps the one before it.
    let hyphens = HYPHENS
        .as_chunks::<16>()
        .0
        .iter()
        .chain(HYPHENS.last_chunk());
    let octets = text.as_chunks::<16>().0.iter().chain(text.last_chunk());
    octets
        .zip(hyphens)
        .fold(true, |all, (octets, hyphens)| all & part(octets, hyphens))
}

#[inline]
fn part(octets: &[u8; 16], hyphens: &[bool; 16]) -> bool {
    octets.iter().zip(hyphens).fold(true, |all, (&b, &hyphen)| {
        all & ((b == b'-') == hyphen) & (is_hex(b) | hyphen)
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
