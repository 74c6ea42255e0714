//! Issues, verifies, rotates and revokes tokens over a store.

use std::{fmt, sync::Arc, time::SystemTime};

use tower_plugin_core::{Clock, Principal};

use self::{
    chore::{Chore, Decision},
    event::Observer,
    limits::Limits,
    meter::{Checks, Outcome},
};
use crate::{
    Answer,
    store::TokenStore,
    token::{
        InvalidReason, KeyRing, MAX_ATTRIBUTES, Minted, PresentedToken, Record, Rng, SecretToken,
        TokenKind, mint,
    },
};

mod builder;
mod chore;
mod error;
mod event;
mod future;
mod limits;
mod manage;
mod meter;
mod new_token;
mod rotate;

pub use builder::TokensBuilder;
pub use error::{IssueError, RotateError, VerifyError};
pub use event::TokenEvent;
pub use future::Verifying;
pub use new_token::NewToken;

/// Issues, verifies, rotates and revokes tokens over one [store](TokenStore).
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
    observer: Observer,
    checks: Checks,
}

impl<S> Inner<S> {
    /// Of what no store needs to be asked.
    #[inline(never)]
    fn refused<V, W>(&self, reason: InvalidReason) -> Answer<Result<V, VerifyError>, W> {
        self.checks.count(Outcome::Refused(reason));
        Answer::Ready(Err(reason.into()))
    }
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
    /// [`IssueError`] if the lifetime asked for is out of range, the principal is larger than 16 KiB or
    /// has more than 63 attributes, there is no randomness, or the store is full or unavailable. Nothing is kept then, and no token leaves.
    pub async fn issue(&self, new: NewToken) -> Result<Issued, IssueError> {
        let issued = self.make(new).await;
        if let Err(error) = &issued {
            meter::not_issued(error);
        }
        issued
    }

    async fn make(&self, new: NewToken) -> Result<Issued, IssueError> {
        let inner = &*self.0;
        let (kind, limits) = (new.kind(), &inner.limits);
        let ttl = new.ttl().unwrap_or(limits.default_ttl(kind));
        let idle_timeout = match kind {
            TokenKind::OneTime => None,
            _ => new.idle_timeout().or(limits.idle_timeout),
        };
        if !limits.allows(ttl) || !idle_timeout.is_none_or(|timeout| limits.allows(timeout)) {
            return Err(IssueError::InvalidTtl);
        }
        let issued_at = inner.clock.wall();
        let from_now = |after| issued_at.checked_add(after).ok_or(IssueError::InvalidTtl);
        let deadline = limits.absolute_lifetime.map(from_now).transpose()?;
        let expires_at = from_now(ttl)?;
        let expires_at = deadline.map_or(expires_at, |deadline| deadline.min(expires_at));

        let minted = mint(kind, &inner.keys, &inner.rng).map_err(IssueError::Rng)?;
        let principal = new.into_principal(minted.token().id());
        if !is_reasonable(&principal) {
            return Err(IssueError::TooLarge);
        }
        let mut record = Record::new(&minted, principal, issued_at, expires_at);
        if let Some(timeout) = idle_timeout {
            record = record.with_idle_timeout(timeout);
        }
        if let Some(deadline) = deadline {
            record = record.with_deadline(deadline);
        }
        inner.store.insert(record.clone(), issued_at).await?;
        let event = TokenEvent::Issued { record: &record };
        inner.observer.tell(&event);
        Ok(Issued::new(minted, &record))
    }

    /// Finds out whose token a caller has sent.
    ///
    /// Anything malformed or of another kind than `expected` is refused before the store is asked.
    /// With a store that answers at once so does this, unless the use of the token is to be written
    /// down or its reuse to be dealt with: match on the [`Answer`], or await it.
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
            Ok(_) => return self.0.refused(InvalidReason::WrongKind),
            Err(malformed) => return self.0.refused(InvalidReason::Malformed(malformed)),
        };
        match self.0.store.get(&presented.id()) {
            Answer::Ready(found) => match self.0.decide(&presented, found) {
                Decision::Made(verdict) => Answer::Ready(verdict),
                Decision::After(chore) => {
                    Answer::Pending(Verifying::finishing(self.clone(), chore))
                }
            },
            Answer::Pending(lookup) => {
                Answer::Pending(Verifying::looking_up(self.clone(), presented, lookup))
            }
        }
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }
}

/// A record is kept for every token: its owner must not fill the store with one.
fn is_reasonable(principal: &Principal) -> bool {
    let (mut count, mut bytes) = (0, principal.kind().len() + principal.subject().len());
    for (name, value) in principal.attributes() {
        count += 1;
        bytes += name.len() + value.len();
    }
    // One attribute is the record's own.
    count < MAX_ATTRIBUTES && bytes <= MAX_PRINCIPAL
}

/// In bytes, all names and values together.
const MAX_PRINCIPAL: usize = 16 * 1024;

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
    fn new(minted: Minted, record: &Record) -> Self {
        Self {
            token: minted.into_token(),
            principal: record.principal().clone(),
            expires_at: record.expires_at(),
        }
    }

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
