//! Keys as replicas agree on them.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Takes in what identifies a caller, under a key that the replicas share: SipHash-1-3 of 128 bits.
///
/// Numbers go in alike on every machine. A type whose `Hash` takes in what differs by build, such as a
/// `TypeId`, makes no key that replicas agree on.
#[derive(Clone)]
pub struct SharedHasher(SipHasher13);

impl SharedHasher {
    pub(super) fn new(secret: &[u8; 16], policy: u64) -> Self {
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(&policy.to_le_bytes());
        Self(hasher)
    }

    /// Never 0, which is no key.
    #[inline]
    pub(super) fn key(&self) -> u128 {
        self.0.finish128().as_u128().max(1)
    }

    pub(super) fn keyed(mut self, key: impl Hash) -> Self {
        key.hash(&mut self);
        self
    }
}

macro_rules! little_endian {
    ($($method:ident($type:ty)),*) => {
        $(#[inline]
        fn $method(&mut self, value: $type) {
            self.0.write(&value.to_le_bytes());
        })*
    };
}

impl Hasher for SharedHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish128().h1
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    little_endian!(
        write_u8(u8),
        write_u16(u16),
        write_u32(u32),
        write_u64(u64),
        write_u128(u128)
    );
}

impl fmt::Debug for SharedHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedHasher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_and_machine_makes_the_same_key() {
        let hasher = SharedHasher::new(&[7; 16], 42);
        let key = hasher.keyed(("tenant", 7_usize, [1_u8, 2])).key();
        assert_eq!(format!("{key:032x}"), "ac3cea72969023e26486e5c10b68ebcb");
    }

    #[test]
    fn another_secret_or_policy_makes_another_key() {
        let key = |secret, policy| SharedHasher::new(&[secret; 16], policy).keyed("k").key();
        assert_eq!(key(1, 1), key(1, 1));
        assert_ne!(key(1, 1), key(2, 1));
        assert_ne!(key(1, 1), key(1, 2));
    }
}
