//! Engine: a token in the hands of the one it was issued to.

use std::fmt;

use zeroize::Zeroizing;

use super::{TokenId, TokenKind};

/// The text of a freshly issued token. This is the only copy: stores keep a keyed digest.
///
/// It is wiped when dropped, has no `Display`, cannot be cloned or compared, and `Debug` shows the
/// prefix and the public id alone.
pub struct SecretToken {
    kind: TokenKind,
    id: TokenId,
    text: Zeroizing<String>,
}

impl SecretToken {
    pub(super) fn new(kind: TokenKind, id: TokenId, text: Zeroizing<String>) -> Self {
        Self { kind, id, text }
    }

    /// The text to hand to its owner, once. Whoever holds it is its owner: do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What it is good for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Its public id, which may be logged and revoked by.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretToken")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
