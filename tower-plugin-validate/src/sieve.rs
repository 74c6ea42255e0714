//! Engine: passing over most names after a look at their length and their first octet.

/// A set of names, as far as their lengths and first octets tell: what it does not hold is not among them.
#[derive(Clone, Debug)]
pub(crate) struct Sieve {
    /// By length, the last five bits of the first octets: a letter has its own.
    firsts: [u32; LENGTHS],
}

impl Sieve {
    pub(crate) const NOTHING: Self = Self {
        firsts: [0; LENGTHS],
    };
    pub(crate) const EVERYTHING: Self = Self {
        firsts: [u32::MAX; LENGTHS],
    };

    #[must_use]
    pub(crate) const fn with(self, name: &[u8]) -> Self {
        self.with_lengths(name, length(name))
    }

    /// Every name that starts so.
    #[must_use]
    pub(crate) const fn with_prefix(self, prefix: &[u8]) -> Self {
        self.with_lengths(prefix, LENGTHS - 1)
    }

    #[expect(clippy::indexing_slicing, reason = "below the length of the array")]
    const fn with_lengths(mut self, name: &[u8], longest: usize) -> Self {
        let mut at = length(name);
        while at <= longest {
            self.firsts[at] |= 1 << first(name);
            at += 1;
        }
        self
    }

    /// Whether a name may be among them.
    #[inline]
    pub(crate) fn may_hold(&self, name: &[u8]) -> bool {
        let firsts = self.firsts.get(length(name)).copied().unwrap_or(u32::MAX);
        firsts >> first(name) & 1 == 1
    }
}

/// Names of 31 octets and more count as equally long.
#[inline]
const fn length(name: &[u8]) -> usize {
    if name.len() < LENGTHS {
        name.len()
    } else {
        LENGTHS - 1
    }
}

#[inline]
const fn first(name: &[u8]) -> u8 {
    match name {
        [first, ..] => *first & 0x1f,
        [] => 0,
    }
}

const LENGTHS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_in_it_is_never_passed_over(
            names in prop::collection::vec("[a-z0-9_-]{1,40}", 0..8),
            prefix in "[a-z]{1,40}",
            rest in "[a-z0-9-]{0,40}",
        ) {
            let sieve = names.iter().fold(Sieve::NOTHING, |sieve, name| sieve.with(name.as_bytes()));
            prop_assert!(names.iter().all(|name| sieve.may_hold(name.as_bytes())));
            let sieve = Sieve::NOTHING.with_prefix(prefix.as_bytes());
            prop_assert!(sieve.may_hold([prefix, rest].concat().as_bytes()));
            prop_assert!(Sieve::EVERYTHING.may_hold(b""));
        }
    }

    #[test]
    fn what_differs_in_length_or_first_letter_is_passed_over() {
        let sieve = Sieve::NOTHING.with(b"host").with_prefix(b"x-a-");
        for name in ["", "te", "hosts", "x-a", "cost", "y-a-b"] {
            assert!(!sieve.may_hold(name.as_bytes()), "{name}");
        }
        assert!(sieve.may_hold(b"hoax") && sieve.may_hold(b"x-b-c"));
    }
}
