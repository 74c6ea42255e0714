//! Engine: the name of one link of a chain.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::token::TokenId;

/// Names one link of a grant's chain: the token as it was issued, or with so many caveats.
///
/// It is public: it may be logged, shown and [revoked](crate::broker::GrantRevocation::Link) by, which ends this
/// token and whatever was derived from it, and nothing else. Written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId([u8; 16]);

impl LinkId {
    /// Half of the digest of the signature, which cannot be had from it.
    pub(super) fn of_signature(signature: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tpg-link/v1");
        hash.update(signature);
        let digest: [u8; 32] = hash.finalize().into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkId({self})")
    }
}

impl FromStr for LinkId {
    type Err = InvalidLinkId;

    fn from_str(text: &str) -> Result<Self, InvalidLinkId> {
        // Both are written the same way.
        let same: TokenId = text.parse().map_err(|_| InvalidLinkId(()))?;
        Ok(Self(*same.as_bytes()))
    }
}

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidLinkId(());

impl fmt::Display for InvalidLinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("link id must be 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for InvalidLinkId {}
