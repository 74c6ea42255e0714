//! Engine: the keys under which secrets are digested.

use std::{fmt, time::UNIX_EPOCH};

use subtle::Choice;
use tower_plugin_core::Principal;

use super::{
    PresentedToken, Record, Rng, RngError, TokenId, TokenKind,
    format::{ID_LEN, SECRET_LEN},
    same::same_digest,
};
use crate::{keyed::Keyed, wiped::Wiped};

/// One key of a [`KeyRing`] and the number records name it by.
///
/// Keep it apart from the store: who has a dump of the store alone can neither guess nor forge a token.
/// It is wiped when dropped and never shown by `Debug`.
pub struct Pepper {
    version: u32,
    keyed: Keyed,
}

impl Pepper {
    /// The shortest key accepted, in bytes: as long as the digest it makes.
    pub const MIN_LEN: usize = 32;

    /// Takes at least 32 bytes of randomness; `version` must be new whenever the key is.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the key is shorter than [`MIN_LEN`](Self::MIN_LEN).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_plugin_auth::token::Pepper;
    ///
    /// let error = Pepper::new(1, b"too short").unwrap_err();
    /// assert_eq!(error.to_string(), "key of version 1 must have at least 32 bytes, has 9");
    /// ```
    pub fn new(version: u32, key: &[u8]) -> Result<Self, InvalidKey> {
        let invalid = InvalidKey {
            version,
            len: key.len(),
        };
        if key.len() < Self::MIN_LEN {
            return Err(invalid);
        }
        let keyed = Keyed::of_slice(key).map_err(|_| invalid)?;
        Ok(Self { version, keyed })
    }

    /// The number records name it by.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The HMAC of these parts in a row. What is authenticated with one key starts with different words.
    #[inline]
    pub(crate) fn mac<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; 32] {
        self.keyed.mac(parts)
    }

    fn digest(&self, kind: TokenKind, id: &TokenId, secret: &[u8; SECRET_LEN]) -> Verifier {
        Verifier(self.mac([kind.domain(), id.as_bytes(), secret]))
    }

    /// Another domain than that of any token: the two are never the same.
    fn chain_root(&self, id: &TokenId, salt: &[u8; 32]) -> Wiped<32> {
        Wiped::new(self.mac([b"tpg/c/1", id.as_bytes(), salt]))
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The keys in use: one makes the digests of new tokens, all of them check old ones.
///
/// To rotate, make the new key active and keep the old one until the last token issued under it has
/// expired.
///
/// ```
/// use tower_plugin_auth::token::{KeyRing, Pepper};
///
/// let old = Pepper::new(1, &[1; 32])?; // yours come from a secret store
/// let new = Pepper::new(2, &[2; 32])?;
/// let keys = KeyRing::new(new, [old])?;
/// assert_eq!(keys.active(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct KeyRing {
    active: Pepper,
    verify_only: Vec<Pepper>,
    stand_in: Record,
}

impl KeyRing {
    /// The most keys that only verify.
    pub const MAX_VERIFY_ONLY: usize = 16;

    /// One key to issue under, and former ones that still verify.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyRing`] if two keys have the same version, or more than
    /// [`MAX_VERIFY_ONLY`](Self::MAX_VERIFY_ONLY) only verify.
    pub fn new(
        active: Pepper,
        verify_only: impl IntoIterator<Item = Pepper>,
    ) -> Result<Self, InvalidKeyRing> {
        let mut ring = Self::of_one(active);
        for pepper in verify_only {
            if ring.find(pepper.version).is_some() {
                return Err(InvalidKeyRing::RepeatedVersion(pepper.version));
            }
            if ring.verify_only.len() == Self::MAX_VERIFY_ONLY {
                return Err(InvalidKeyRing::TooManyKeys);
            }
            ring.verify_only.push(pepper);
        }
        Ok(ring)
    }

    /// A ring of one random key, for tokens that need not outlive the process.
    ///
    /// # Errors
    ///
    /// [`RngError`] if there is no randomness to be had.
    pub fn random(rng: &impl Rng) -> Result<Self, RngError> {
        let mut key = Wiped::<{ Pepper::MIN_LEN }>::zeros();
        rng.fill(&mut *key)?;
        let active = Pepper::new(0, &*key).map_err(RngError::new)?;
        Ok(Self::of_one(active))
    }

    fn of_one(active: Pepper) -> Self {
        let digest = (active.version, Verifier([0; 32]));
        let nobody = Principal::new("", "");
        let (id, kind) = (TokenId::from_bytes([0; ID_LEN]), TokenKind::Runtime);
        Self {
            stand_in: Record::of_digest(id, kind, digest, nobody, UNIX_EPOCH, UNIX_EPOCH),
            active,
            verify_only: Vec::new(),
        }
    }

    /// What is looked at in place of a record where there is none. It expired in 1970.
    pub(super) const fn stand_in(&self) -> &Record {
        &self.stand_in
    }

    /// The version of the key that makes new digests.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.version
    }

    pub(super) fn digest(
        &self,
        kind: TokenKind,
        id: &TokenId,
        secret: &[u8; SECRET_LEN],
    ) -> (u32, Verifier) {
        (self.active.version, self.active.digest(kind, id, secret))
    }

    /// Whether the secret presented is the one `verifier` was made of, under key `version`.
    ///
    /// With a forgotten key the same work is done for nothing.
    pub(super) fn verify(
        &self,
        presented: &PresentedToken,
        version: u32,
        verifier: &Verifier,
    ) -> bool {
        let found = self.find(version);
        let known = Choice::from(u8::from(found.is_some()));
        let pepper = found.unwrap_or(&self.active);
        let digest = pepper.digest(presented.kind(), &presented.id(), presented.secret());
        (same_digest(&digest.0, &verifier.0) & known).into()
    }

    #[cfg(all(feature = "audit-file", unix))]
    pub(crate) fn active_key(&self) -> &Pepper {
        &self.active
    }

    /// The first signature of a grant's chain under key `version`, and whether there is such a key. The same work
    /// is done for nothing if there is not.
    pub(crate) fn chain_root(
        &self,
        version: u32,
        id: &TokenId,
        salt: &[u8; 32],
    ) -> (Wiped<32>, bool) {
        let pepper = self.find(version);
        let root = pepper.unwrap_or(&self.active).chain_root(id, salt);
        (root, pepper.is_some())
    }

    pub(crate) fn find(&self, version: u32) -> Option<&Pepper> {
        std::iter::once(&self.active)
            .chain(&self.verify_only)
            .find(|pepper| pepper.version == version)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("active", &self.active)
            .field("verify_only", &self.verify_only)
            .finish()
    }
}

/// What a store keeps in place of a secret: HMAC-SHA256 over kind, id and secret under a [`Pepper`].
///
/// Useless without the key, and yet not shown by `Debug`.
#[derive(Clone)]
pub struct Verifier([u8; 32]);

impl Verifier {
    /// Reads back what a store has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// A key too short to protect anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidKey {
    version: u32,
    len: usize,
}

impl InvalidKey {
    /// The version the key was to have.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "key of version {} must have at least {} bytes, has {}",
            self.version,
            Pepper::MIN_LEN,
            self.len
        )
    }
}

impl std::error::Error for InvalidKey {}

/// Keys that do not make a ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidKeyRing {
    /// Two keys of this version: records could not tell them apart.
    RepeatedVersion(u32),
    /// More than [`KeyRing::MAX_VERIFY_ONLY`] keys that only verify.
    TooManyKeys,
}

impl fmt::Display for InvalidKeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepeatedVersion(version) => {
                write!(f, "version of each key must be unique, {version} is not")
            }
            Self::TooManyKeys => write!(
                f,
                "verify_only must have at most {} keys",
                KeyRing::MAX_VERIFY_ONLY
            ),
        }
    }
}

impl std::error::Error for InvalidKeyRing {}

#[cfg(test)]
mod tests;
