//! Engine: looking at every octet of a short text at the speed of a long one.
//!
//! Names and values are mostly of 4 to 60 octets. A loop over them spends its time on what is left
//! over after the last full vector; here the last vector overlaps the one before it instead.

/// Whether a test holds for every octet.
#[inline]
pub(crate) fn all(text: &[u8], test: impl Fn(u8) -> bool + Copy) -> bool {
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

/// A letter of ASCII, by arithmetic: vectors have no tables.
#[inline]
pub(crate) const fn is_letter(b: u8) -> bool {
    (b | 0x20).wrapping_sub(b'a') < 26
}

/// A decimal digit.
#[inline]
pub(crate) const fn is_digit(b: u8) -> bool {
    b.wrapping_sub(b'0') < 10
}

/// A hexadecimal digit of either case.
#[inline]
pub(crate) const fn is_hex(b: u8) -> bool {
    is_digit(b) | ((b | 0x20).wrapping_sub(b'a') < 6)
}
