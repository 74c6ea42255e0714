//! Engine: a grant in the hands of a holder.

use std::{error::Error, fmt};

use zeroize::Zeroizing;

use super::{Caveat, LinkId, MalformedGrant, PresentedGrant, Restriction};
use crate::token::TokenId;

/// The token of a grant, in the hands of somebody who may use it, or hand on less of it.
///
/// It is wiped when dropped, has no `Display`, cannot be compared, and `Debug` shows no more than the public id and
/// the caveats.
pub struct GrantToken {
    parts: PresentedGrant,
    text: Zeroizing<String>,
}

impl GrantToken {
    pub(super) fn new(parts: PresentedGrant) -> Self {
        let text = parts.text();
        Self { parts, text }
    }

    #[cfg(test)]
    pub(super) fn parts(&self) -> PresentedGrant {
        self.parts.clone()
    }

    /// Takes a token from its text, as it was received from whoever issued it or handed it on.
    ///
    /// # Errors
    ///
    /// [`MalformedGrant`] says what is wrong. That it is well formed does not say that it is any good.
    pub fn parse(text: &str) -> Result<Self, MalformedGrant> {
        PresentedGrant::parse(text.as_bytes()).map(Self::new)
    }

    /// Derives a token that is good for less: it takes the text alone, and nobody is asked.
    ///
    /// Whoever gets the new one cannot get back to this one. It has a [link id](Self::link) of its own, and ends
    /// with this one when that is revoked.
    ///
    /// # Errors
    ///
    /// [`AttenuateError`] if there would be more than [`MAX_CAVEATS`](super::MAX_CAVEATS), or more than
    /// [`MAX_LEN`](super::MAX_LEN) bytes.
    pub fn attenuate(&self, caveat: &Caveat) -> Result<Self, AttenuateError> {
        let extended = self.parts.extended(caveat).ok_or(AttenuateError(()))?;
        Ok(Self::new(extended))
    }

    /// The text to send or to hand on. Whoever holds it may use it, as far as it is not bound to somebody: do not
    /// log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The public id of the grant, which may be logged and revoked by.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.parts.id()
    }

    /// Names this token and all that is derived from it; public, too.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.parts.signature().link()
    }

    /// What was taken away so far, in that order.
    pub fn restrictions(&self) -> impl Iterator<Item = Restriction<'_>> {
        self.parts.restrictions()
    }
}

impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantToken")
            .field("id", &self.id())
            .field("restrictions", &self.restrictions().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The token is as long as it may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttenuateError(());

impl fmt::Display for AttenuateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a grant must have at most 16 caveats and 2048 bytes")
    }
}

impl Error for AttenuateError {}
