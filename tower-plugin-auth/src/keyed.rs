//! Engine: HMAC-SHA256 of messages that are there as a whole.

use hmac::{
    KeyInit,
    block_api::HmacCore,
    digest::{
        InvalidLength,
        block_api::{Buffer, FixedOutputCore, UpdateCore},
    },
};
use sha2::Sha256;

/// A key, set up: a message of up to 55 bytes then costs two blocks of SHA-256 instead of four.
///
/// Without the buffer that [`hmac::Hmac`] keeps beside it: to copy an empty one and wipe it twice was a tenth of what a
/// check of a token takes.
#[derive(Clone)]
pub(crate) struct Keyed(Core);

type Core = HmacCore<Sha256>;

impl Keyed {
    /// Of a key of any length.
    pub(crate) fn of_slice(key: &[u8]) -> Result<Self, InvalidLength> {
        Core::new_from_slice(key).map(Self)
    }

    /// Of a key as long as a block.
    pub(crate) fn of_block(key: &[u8; BLOCK_LEN]) -> Self {
        Self(Core::new(key.into()))
    }

    /// The HMAC of these parts in a row (RFC 2104).
    #[inline]
    pub(crate) fn mac<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; 32] {
        let (mut core, mut buffer) = (self.0.clone(), Buffer::<Core>::default());
        for part in parts {
            buffer.digest_blocks(part, |blocks| core.update_blocks(blocks));
        }
        let mut mac = Default::default();
        core.finalize_fixed_core(&mut buffer, &mut mac);
        mac.into()
    }
}

pub(crate) const BLOCK_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, Mac};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_hmac_of_all_parts_together(
            key in prop::collection::vec(any::<u8>(), 0..200),
            parts in prop::array::uniform3(prop::collection::vec(any::<u8>(), 0..150)),
        ) {
            let mut expected = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            expected.update(&parts.concat());
            let keyed = Keyed::of_slice(&key).unwrap();
            let mac = keyed.mac(parts.each_ref().map(Vec::as_slice));
            prop_assert_eq!(mac, <[u8; 32]>::from(expected.finalize().into_bytes()));
        }
    }

    #[test]
    fn a_short_key_is_one_of_a_block_that_ends_in_zeros() {
        let mut block = [0; BLOCK_LEN];
        block[..4].copy_from_slice(b"Jefe");
        // RFC 4231, test case 2.
        let message = [&b"what do ya want "[..], b"for nothing?"];
        let mac = Keyed::of_block(&block).mac(message);
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex, expected);
        assert_eq!(Keyed::of_slice(b"Jefe").unwrap().mac(message), mac);
    }
}
