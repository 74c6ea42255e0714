//! Issues, verifies and revokes tokens over a store.

use std::{fmt, sync::Arc, time::SystemTime};

use tower_plugin_core::{Clock, Principal};

use self::limits::Limits;
use crate::{
    Answer,
    store::{Found, StoreError, TokenStore},
    token::{
        InvalidReason, KeyRing, PresentedToken, Record, Rng, SecretToken, TokenId, TokenKind,
        check, mint,
    },
};

mod builder;
mod error;
mod future;
mod limits;
mod new_token;

pub use builder::TokensBuilder;
pub use error::{IssueError, VerifyError};
pub use future::Verifying;
pub use new_token::NewToken;

/// Issues, verifies and revokes tokens over one [store](TokenStore).
///
/// Clones share everything; build one and hand clones to whoever issues and whoever checks.
///
/// ```
/// use tower_plugin_auth::{
///     MemoryStore, NewToken, SystemRng, Tokens,
///     token::{KeyRing, TokenKind},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyRing::random(&SystemRng)?;
/// let tokens = Tokens::builder(MemoryStore::new(1000)?, keys).build()?;
///
/// let issued = tokens.issue(NewToken::runtime(&"Cache Plugin".parse()?)).await?;
/// assert!(issued.principal().subject().starts_with("cache-plugin-"));
///
/// let text = issued.token().expose().as_bytes(); // what its owner sends with every call
/// let verified = tokens.verify(TokenKind::Runtime, text).await?;
/// assert_eq!(verified.principal(), issued.principal());
///
/// assert!(tokens.revoke(&issued.token().id()).await?);
/// assert!(tokens.verify(TokenKind::Runtime, text).await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct Tokens<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    limits: Limits,
}

impl<S: TokenStore> Tokens<S> {
    /// Starts from a store and the keys its digests are made under; see [`TokensBuilder`] for the rest.
    pub fn builder(store: S, keys: KeyRing) -> TokensBuilder<S> {
        TokensBuilder::new(store, keys)
    }

    /// Makes a token and keeps its record.
    ///
    /// # Errors
    ///
    /// [`IssueError`] if the lifetime asked for is out of range, there is no randomness, or the store
    /// is full or unavailable. Nothing is kept then, and no token leaves.
    pub async fn issue(&self, new: NewToken) -> Result<Issued, IssueError> {
        let Inner {
            store,
            keys,
            clock,
            rng,
            limits,
        } = &*self.0;
        let ttl = new.ttl().unwrap_or(limits.default_ttl(new.kind()));
        if !limits.allows(ttl) {
            return Err(IssueError::InvalidTtl);
        }
        let issued_at = clock.wall();
        let expires_at = issued_at.checked_add(ttl).ok_or(IssueError::InvalidTtl)?;
        let minted = mint(new.kind(), keys, rng).map_err(IssueError::Rng)?;
        let principal = new.into_principal(minted.token().id());
        let record = Record::new(&minted, principal, issued_at, expires_at);
        let principal = record.principal().clone();
        store.insert(record, issued_at).await?;
        Ok(Issued {
            token: minted.into_token(),
            principal,
            expires_at,
        })
    }

    /// Finds out whose token a caller has sent.
    ///
    /// Anything malformed or of another kind than `expected` is refused before the store is asked.
    /// With a store that answers at once so does this: match on the [`Answer`], or await it.
    ///
    /// # Errors
    ///
    /// The answer holds [`VerifyError::Invalid`] for everything that is not a live token, and
    /// [`VerifyError::Unavailable`] if the store cannot say.
    pub fn verify(
        &self,
        expected: TokenKind,
        text: &[u8],
    ) -> Answer<Result<Verified, VerifyError>, Verifying<S>> {
        let presented = match PresentedToken::parse(text) {
            Ok(presented) if presented.kind() == expected => presented,
            Ok(_) => return Answer::Ready(Err(InvalidReason::WrongKind.into())),
            Err(malformed) => {
                return Answer::Ready(Err(InvalidReason::Malformed(malformed).into()));
            }
        };
        match self.0.store.get(&presented.id()) {
            Answer::Ready(found) => Answer::Ready(self.0.decide(&presented, found)),
            Answer::Pending(lookup) => {
                Answer::Pending(Verifying::new(self.clone(), presented, lookup))
            }
        }
    }

    /// Makes a token invalid from now on; whether it was known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: the token may still be valid.
    pub async fn revoke(&self, id: &TokenId) -> Result<bool, StoreError> {
        self.0.store.revoke(id).await
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }
}

impl<S> Inner<S> {
    fn decide(&self, presented: &PresentedToken, found: Found) -> Result<Verified, VerifyError> {
        let record = found.map_err(VerifyError::Unavailable)?;
        check(&self.keys, presented, record.as_deref(), self.clock.wall())?;
        // Checked tokens have a record.
        let record = record.ok_or(InvalidReason::Unknown)?;
        Ok(Verified { record })
    }
}

impl<S> Clone for Tokens<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for Tokens<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("store", &self.0.store)
            .field("keys", &self.0.keys)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

/// A token just issued.
#[derive(Debug)]
pub struct Issued {
    token: SecretToken,
    principal: Principal,
    expires_at: SystemTime,
}

impl Issued {
    /// The text to hand to its owner; there is no other copy.
    #[must_use]
    pub fn token(&self) -> &SecretToken {
        &self.token
    }

    /// Who calls with it. The subject of a runtime token is its runtime id.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The text to hand to its owner, to keep.
    #[must_use]
    pub fn into_token(self) -> SecretToken {
        self.token
    }
}

/// A token found to be genuine and live.
#[derive(Clone, Debug)]
pub struct Verified {
    record: Arc<Record>,
}

impl Verified {
    /// Who calls with it.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.record.principal()
    }

    /// What the store knows of it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

#[cfg(test)]
mod tests;
