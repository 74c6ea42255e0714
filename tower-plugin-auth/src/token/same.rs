//! Engine: whether two digests are the same, in a time that depends on neither.

use subtle::{Choice, ConstantTimeEq};

/// Gathers where they differ, eight bytes at a time, and asks once: slices `subtle` compares byte by byte, which takes
/// longer than half of the HMAC that made the digest.
pub(crate) fn same_digest(one: &[u8; 32], other: &[u8; 32]) -> Choice {
    let ((one, _), (other, _)) = (one.as_chunks(), other.as_chunks());
    let words = one.iter().zip(other);
    let differences = words.fold(0, |differences, (one, other)| {
        differences | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
    });
    differences.ct_eq(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_as_itself_and_as_none_with_another_bit() {
        let one: [u8; 32] = std::array::from_fn(|at| at as u8);
        assert!(bool::from(same_digest(&one, &one.clone())));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!bool::from(same_digest(&one, &other)), "{bit}");
        }
    }
}
