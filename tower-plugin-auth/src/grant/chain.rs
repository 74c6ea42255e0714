//! Engine: the chain of signatures.

use super::LinkId;
use crate::{
    keyed::{BLOCK_LEN, Keyed},
    wiped::Wiped,
};

/// The signature of a token: the key to whatever may be added to it.
#[derive(Clone)]
pub(super) struct Signature(Wiped<SIGNATURE_LEN>);

impl Signature {
    pub(super) fn new(bytes: Wiped<SIGNATURE_LEN>) -> Self {
        Self(bytes)
    }

    /// That of the token with one caveat more. The way back is as long as guessing a key.
    pub(super) fn extend(&self, caveat: &[u8]) -> Self {
        // HMAC fills up a short key with zeros (RFC 2104, section 2).
        let mut key = Wiped::<BLOCK_LEN>::zeros();
        for (to, from) in key.iter_mut().zip(&*self.0) {
            *to = *from;
        }
        Self(Wiped::new(Keyed::of_block(&key).mac([caveat])))
    }

    pub(super) fn link(&self) -> LinkId {
        LinkId::of_signature(&self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.0
    }
}

pub(super) const SIGNATURE_LEN: usize = 32;
