//! Engine: a new grant, before any store knows it.

use std::fmt;

use super::{GrantToken, PresentedGrant, chain::Signature};
use crate::{
    token::{KeyRing, Rng, RngError, TokenId},
    wiped::Wiped,
};

/// Makes a new grant: the token for its holder, and the salt for a record.
///
/// # Errors
///
/// [`RngError`] if there is no randomness to be had; nothing was made then.
pub fn mint(keys: &KeyRing, rng: &impl Rng) -> Result<MintedGrant, RngError> {
    let (mut id, mut salt) = ([0; 16], Salt(Wiped::zeros()));
    rng.fill(&mut id)?;
    rng.fill(&mut *salt.0)?;
    let id = TokenId::from_bytes(id);
    let key_version = keys.active();
    let (root, _) = keys.chain_root(key_version, &id, &salt.0);
    Ok(MintedGrant {
        token: GrantToken::new(PresentedGrant::assemble(id, &[], &Signature::new(root))),
        key_version,
        salt,
    })
}

/// A grant no store knows yet.
#[derive(Debug)]
pub struct MintedGrant {
    token: GrantToken,
    key_version: u32,
    salt: Salt,
}

impl MintedGrant {
    /// The token for its holder.
    #[must_use]
    pub fn token(&self) -> &GrantToken {
        &self.token
    }

    /// The token for its holder, to keep.
    #[must_use]
    pub fn into_token(self) -> GrantToken {
        self.token
    }

    pub(super) fn key_version(&self) -> u32 {
        self.key_version
    }

    pub(super) fn salt(&self) -> &Salt {
        &self.salt
    }
}

/// What a store adds to a key to begin a chain. Of no use without the key, and yet not shown by `Debug`.
#[derive(Clone)]
pub(super) struct Salt(pub(super) Wiped<32>);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Salt").finish_non_exhaustive()
    }
}
