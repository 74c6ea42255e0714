//! Engine: what a store keeps of a token.

use std::time::SystemTime;

use tower_plugin_core::Principal;
use zeroize::Zeroizing;

use super::{
    KeyRing, Rng, RngError, SecretToken, TokenId, TokenKind, Verifier,
    format::{self, ID_LEN, SECRET_LEN},
};

/// Makes a new token: the text for its owner and the digest for a store.
///
/// # Errors
///
/// [`RngError`] if there is no randomness to be had; nothing was made then.
pub fn mint(kind: TokenKind, keys: &KeyRing, rng: &impl Rng) -> Result<Minted, RngError> {
    let mut random = Zeroizing::new([0; ID_LEN + SECRET_LEN]);
    rng.fill(&mut *random)?;
    let (mut id, mut secret) = ([0; ID_LEN], Zeroizing::new([0; SECRET_LEN]));
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

    /// The text for its owner, to keep.
    #[must_use]
    pub fn into_token(self) -> SecretToken {
        self.token
    }
}

/// What a store keeps of a token: whose it is, until when, and a keyed digest of its secret.
///
/// It cannot be turned back into a token. The principal is complete, so a successful check only adds
/// a reference to it.
#[derive(Clone, Debug)]
pub struct Record {
    id: TokenId,
    kind: TokenKind,
    key_version: u32,
    verifier: Verifier,
    principal: Principal,
    issued_at: SystemTime,
    expires_at: SystemTime,
}

impl Record {
    /// Describes a new token for a store: valid from now until **before** `expires_at`.
    ///
    /// The principal gets the token's public id.
    #[must_use]
    pub fn new(
        minted: &Minted,
        principal: Principal,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        let id = minted.token.id();
        Self {
            id,
            kind: minted.token.kind(),
            key_version: minted.key_version,
            verifier: minted.verifier.clone(),
            principal: principal.with_token_id(id.to_string()),
            issued_at,
            expires_at,
        }
    }

    /// Reads back what a store has kept of a token.
    #[must_use]
    pub fn restore(
        id: TokenId,
        kind: TokenKind,
        (key_version, verifier): (u32, Verifier),
        principal: Principal,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        Self {
            id,
            kind,
            key_version,
            verifier,
            principal: principal.with_token_id(id.to_string()),
            issued_at,
            expires_at,
        }
    }

    /// The token's public id.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What the token is good for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The version of the key its digest was made under.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    /// The digest of its secret.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Who calls with it.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// When it was issued.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether it is still valid at `now`.
    #[must_use]
    pub fn is_live(&self, now: SystemTime) -> bool {
        now < self.expires_at
    }
}
