use super::{Issued, RotateError, TokenEvent, Tokens, meter};
use crate::{
    store::{Found, Revocation, TokenStore},
    token::{Record, TokenId, TokenKind, mint},
};

impl<S: TokenStore> Tokens<S> {
    /// Gives the owner of a token its successor: same owner, same family, as long a life, but never
    /// beyond the family's [deadline](Record::deadline). The old one stays valid for the overlap, and
    /// then its use is [reuse](crate::token::InvalidReason::Reused).
    ///
    /// It takes the id, so the caller must know who asks: in a handler behind an
    /// [`AuthLayer`](crate::AuthLayer), the id is the principal's own
    /// [`token_id`](crate::Principal::token_id). A token is replaced once: of callers at the same time
    /// one gets a successor.
    ///
    /// ```
    /// use tower_plugin_auth::{
    ///     MemoryStore, NewToken, RotateError, SystemRng, Tokens,
    ///     token::{KeyRing, TokenKind},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tokens = Tokens::builder(MemoryStore::new(1000)?, KeyRing::random(&SystemRng)?).build()?;
    /// let first = tokens.issue(NewToken::runtime(&"Cache Plugin".parse()?)).await?;
    ///
    /// let second = tokens.rotate(&first.token().id()).await?;
    /// assert_eq!(second.principal().subject(), first.principal().subject());
    /// for both_are_valid in [first.token(), second.token()] {
    ///     let text = both_are_valid.expose().as_bytes();
    ///     assert!(tokens.verify(TokenKind::Runtime, text).await.is_ok());
    /// }
    ///
    /// let again = tokens.rotate(&first.token().id()).await;
    /// assert!(matches!(again, Err(RotateError::AlreadyRotated)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RotateError`] if the token is not valid, has a successor already, or is a one-time token, and
    /// if there is no randomness, no room, or no store. No successor leaves then. After
    /// [`Unavailable`](RotateError::Unavailable) nobody knows whether the old token is to live on: it
    /// is good for the overlap at least.
    pub async fn rotate(&self, id: &TokenId) -> Result<Issued, RotateError> {
        let rotated = self.replace(id).await;
        if let Err(error) = &rotated {
            meter::not_rotated(error);
        }
        rotated
    }

    async fn replace(&self, id: &TokenId) -> Result<Issued, RotateError> {
        let inner = &*self.0;
        let now = inner.clock.wall();
        let mut old = self.rotatable(id).await?;

        let lifetime = old.expires_at().duration_since(old.issued_at());
        let ttl = lifetime.unwrap_or(inner.limits.default_ttl(old.kind()));
        let expires_at = now.checked_add(ttl).ok_or(RotateError::NotLive)?;
        let minted = mint(old.kind(), &inner.keys, &inner.rng).map_err(RotateError::Rng)?;
        let record = old.next_in_family(&minted, now, expires_at);
        let next_id = record.id();
        let successor = record.clone();
        // First the successor, then the note on the old record: whoever revokes either of them in
        // between makes the second step fail, and nobody holds the successor's secret before it.
        inner.store.insert(successor, now).await?;
        let overlap_until = now.checked_add(inner.limits.overlap).unwrap_or(now);
        let mut attempts = 0;
        let refusal = loop {
            let superseded = old.superseded(next_id, overlap_until);
            if inner.store.update(superseded, now).await? {
                break None;
            }
            attempts += 1;
            match self.rotatable(id).await {
                // Somebody wrote down a use of it.
                Ok(changed) if attempts < MAX_ATTEMPTS => old = changed,
                Ok(_) => break Some(RotateError::AlreadyRotated),
                Err(refusal) => break Some(refusal),
            }
        };
        if let Some(refusal) = refusal {
            // Should this fail, too, a record stays behind that no token belongs to.
            let _ = inner.store.revoke(Revocation::Tokens(&[next_id])).await;
            return Err(refusal);
        }
        inner.observer.tell(&TokenEvent::Rotated {
            from: *id,
            record: &record,
        });
        Ok(Issued::new(minted, &record))
    }

    async fn rotatable(&self, id: &TokenId) -> Result<std::sync::Arc<Record>, RotateError> {
        let found: Found = self.0.store.get(id).await;
        let record = found?.ok_or(RotateError::NotLive)?;
        if record.kind() == TokenKind::OneTime {
            return Err(RotateError::OneTime);
        }
        if !record.is_live(self.0.clock.wall()) {
            return Err(RotateError::NotLive);
        }
        match record.successor() {
            Some(_) => Err(RotateError::AlreadyRotated),
            None => Ok(record),
        }
    }
}

/// Uses are written down a few times in a token's life: twice in a row is hardly ever seen.
const MAX_ATTEMPTS: usize = 8;
