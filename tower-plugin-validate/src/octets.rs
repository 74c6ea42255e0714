//! Engine: looking at every octet of a short text at the speed of a long one.
//!
//! Names and values are mostly of 4 to 60 octets. A loop over them spends its time on what is left
//! over after the last full vector; here the last vector overlaps the one before it instead.

/// Whether a test holds for every octet.
#[inline]
pub(crate) fn all(text: &[u8], test: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = text.last_chunk::<16>() {
        let (chunks, _) = text.as_chunks::<16>();
        // Without an early exit the compiler makes vectors across the chunks, of one octet of each.
        chunks.iter().all(|chunk| every(chunk, test)) && every(last, test)
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
        let mut chunks = firsts.iter().zip(seconds);
        chunks.any(|(a, b)| some(a, b, test)) || some(a, b, test)
    } else if let (Some((a, b)), Some((c, d))) = (
        firsts.first_chunk::<8>().zip(seconds.first_chunk::<8>()),
        firsts.last_chunk::<8>().zip(seconds.last_chunk::<8>()),
    ) {
        some(a, b, test) || some(c, d, test)
    } else {
        let pairs = firsts.iter().zip(seconds);
        pairs.fold(false, |any, (&a, &b)| any | test(a, b))
    }
}

// By itself: where both are seen to be parts of one text, the compiler makes them of one another.
#[inline(never)]
fn some<const N: usize>(a: &[u8; N], b: &[u8; N], test: impl Fn(u8, u8) -> bool) -> bool {
    a.iter()
        .zip(b)
        .fold(false, |any, (&a, &b)| any | test(a, b))
}

#[inline]
fn every<const N: usize>(octets: &[u8; N], test: impl Fn(u8) -> bool) -> bool {
    octets.iter().fold(true, |all, &b| all & test(b))
}

/// Shows every octet of a text, some of them more than once, eight at a time: what is made of them stays
/// in a register, and is asked for once when many texts were looked at.
#[inline]
fn words(text: &[u8], mut look: impl FnMut(u64)) {
    let mut both = |octets: &[u8; 16]| {
        let octets = u128::from_le_bytes(*octets);
        look(octets as u64);
        look((octets >> 64) as u64);
    };
    // Most texts need no loop.
    if let (Some((first, rest)), Some(last)) = (text.split_first_chunk(), text.last_chunk()) {
        both(first);
        both(last);
        if rest.len() > 16 {
            rest.as_chunks().0.iter().for_each(both);
        }
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        look(u64::from_le_bytes(*first));
        look(u64::from_le_bytes(*last));
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        look(u64::from(first) | u64::from(last) << 32);
    } else {
        for &octet in text {
            look(u64::from_ne_bytes([octet; 8]));
        }
    }
}

/// Whether there is an octet above ASCII in any of several texts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NonAscii(u64);

impl NonAscii {
    #[inline]
    pub(crate) fn look_at(&mut self, text: &[u8]) {
        words(text, |word| self.0 |= word);
    }

    /// Whether it was there in any of them.
    #[inline]
    pub(crate) const fn any(self) -> bool {
        self.0 & u64::from_ne_bytes([0x80; 8]) != 0
    }
}

/// Whether there is an octet without its sixth bit in any of several texts: a control, one of the 32 where
/// the capitals of ASCII are, or the same above ASCII. Of those, a name in lower case can only have `_`
/// and `^`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CapitalRow(u64);

impl Default for CapitalRow {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl CapitalRow {
    #[inline]
    pub(crate) fn look_at(&mut self, text: &[u8]) {
        words(text, |word| self.0 &= word);
    }

    /// Whether it was there in any of them.
    #[inline]
    pub(crate) const fn any(self) -> bool {
        const SIXTH: u64 = u64::from_ne_bytes([0x20; 8]);
        self.0 & SIXTH != SIXTH
    }
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

    proptest! {
        #[test]
        fn texts_are_seen_for_what_they_are(
            texts in prop::collection::vec(prop::collection::vec(edges(), 0..40), 0..4),
        ) {
            let (mut beyond, mut capitals) = (NonAscii::default(), CapitalRow::default());
            for text in &texts {
                beyond.look_at(text);
                capitals.look_at(text);
            }
            let texts = texts.concat();
            prop_assert_eq!(beyond.any(), !texts.is_ascii());
            prop_assert_eq!(capitals.any(), texts.iter().any(|b| b & 0x20 == 0));
        }
    }

    /// Mostly octets at the edges of what is looked for.
    fn edges() -> impl Strategy<Value = u8> {
        let edges = prop::sample::select(&b"\0\x01\x1f ^_`~\x7f\x80\xa0\xdf\xff"[..]);
        prop_oneof![8 => b' '..=b'~', 1 => edges, 1 => any::<u8>()]
    }

    #[test]
    fn every_octet_is_seen_for_what_it_is_wherever_it_is() {
        for octet in 0..=255 {
            for length in (1..20).chain([31, 32, 33, 47, 48, 49, 65]) {
                for place in 0..length {
                    let mut text = vec![b'a'; length];
                    text[place] = octet;
                    let (mut beyond, mut capital) = (NonAscii::default(), CapitalRow::default());
                    beyond.look_at(&text);
                    capital.look_at(&text);
                    assert_eq!(beyond.any(), !octet.is_ascii());
                    assert_eq!(capital.any(), octet & 0x20 == 0, "{octet}");
                }
            }
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
