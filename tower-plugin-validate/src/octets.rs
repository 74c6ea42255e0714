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

/// Whether a test holds for two neighbours.
#[inline]
pub(crate) fn any_pair(text: &[u8], test: impl Fn(u8, u8) -> bool + Copy) -> bool {
    let Some((firsts, seconds)) = text
        .split_last()
        .map(|(_, firsts)| firsts)
        .zip(text.get(1..))
    else {
        return false;
    };
    if let Some((a, b)) = firsts.last_chunk::<16>().zip(seconds.last_chunk::<16>()) {
        let (firsts, seconds) = (firsts.as_chunks::<16>().0, seconds.as_chunks::<16>().0);
        let chunks = firsts.iter().zip(seconds);
        chunks.fold(some(a, b, test), |any, (a, b)| any | some(a, b, test))
    } else {
        let pairs = firsts.iter().zip(seconds);
        pairs.fold(false, |any, (&a, &b)| any | test(a, b))
    }
}

#[inline]
fn some(a: &[u8; 16], b: &[u8; 16], test: impl Fn(u8, u8) -> bool) -> bool {
    a.iter()
        .zip(b)
        .fold(false, |any, (&a, &b)| any | test(a, b))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_octet_and_every_pair_is_looked_at(text in prop::collection::vec(b'a'..=b'c', 0..70)) {
            prop_assert_eq!(all(&text, |b| b != b'a'), !text.contains(&b'a'));
            let pair = text.windows(2).any(|pair| pair == b"ab");
            prop_assert_eq!(any_pair(&text, |a, b| (a == b'a') & (b == b'b')), pair);
        }
    }

    #[test]
    fn one_octet_among_many_is_found_wherever_it_is() {
        for length in 1..70 {
            for place in 0..length {
                let mut text = vec![b'a'; length];
                text[place] = b'x';
                assert!(!all(&text, |b| b == b'a'), "{place} of {length}");
                assert_eq!(any_pair(&text, |a, _| a == b'x'), place + 1 < length);
                assert_eq!(any_pair(&text, |_, b| b == b'x'), place > 0);
            }
        }
    }

    #[test]
    fn arithmetic_knows_the_classes_of_ascii() {
        for b in 0..=255 {
            assert_eq!(is_letter(b), b.is_ascii_alphabetic());
            assert_eq!(is_digit(b), b.is_ascii_digit());
            assert_eq!(is_hex(b), b.is_ascii_hexdigit());
        }
    }
}
