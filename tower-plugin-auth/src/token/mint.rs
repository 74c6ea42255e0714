//! Engine: a new token, before any store knows it.

use super::{
    KeyRing, Rng, RngError, SecretToken, TokenId, TokenKind, Verifier,
    format::{self, ID_LEN, SECRET_LEN},
};
use crate::wiped::Wiped;

/// Makes a new token: the text for its owner and the digest for a store.
///
/// # Errors
///
/// [`RngError`] if there is no randomness to be had; nothing was made then.
pub fn mint(kind: TokenKind, keys: &KeyRing, rng: &impl Rng) -> Result<Minted, RngError> {
    let mut random = Wiped::<{ ID_LEN + SECRET_LEN }>::zeros();
    rng.fill(&mut *random)?;
    let (mut id, mut secret) = ([0; ID_LEN], Wiped::<SECRET_LEN>::zeros());
    for (to, from) in id.iter_mut().chain(&mut *secret).zip(&*random) {
        *to = *from;
    }
    let id = TokenId::from_bytes(id);
    let (key_version, verifier) = keys.digest(kind, &id, &secret);
    Ok(Minted {
        token: format::encode(kind, id, &secret),
        key_version,
        verifier,
    })
}

/// A token no store knows yet.
#[derive(Debug)]
pub struct Minted {
    token: SecretToken,
    key_version: u32,
    verifier: Verifier,
}

impl Minted {
    /// The text for its owner.
    #[must_use]
    pub fn token(&self) -> &SecretToken {
        &self.token
    }

    pub(super) fn key_version(&self) -> u32 {
        self.key_version
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The text for its owner, to keep.
    #[must_use]
    pub fn into_token(self) -> SecretToken {
        self.token
    }
}
