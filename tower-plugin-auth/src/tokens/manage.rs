use std::{sync::Arc, time::SystemTime};

use super::{TokenEvent, Tokens, Verified, VerifyError, meter};
use crate::{
    store::{List, Revocation, StoreError, TokenStore},
    token::{InvalidReason, Record, TokenId, TokenKind},
};

impl<S: TokenStore> Tokens<S> {
    /// Uses up a one-time token: of all who present it, one is told whose it was.
    ///
    /// For what is to happen once, e.g. an OAuth callback with this token as `state`: issue with
    /// [`NewToken::for_principal`](crate::NewToken::for_principal), put what it is bound to (the
    /// session, the purpose) into the principal's attributes, and compare when it comes back.
    ///
    /// ```
    /// use tower_plugin_auth::{
    ///     MemoryStore, NewToken, Principal, SystemRng, Tokens,
    ///     token::{KeyRing, TokenKind},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tokens = Tokens::builder(MemoryStore::new(1000)?, KeyRing::random(&SystemRng)?).build()?;
    /// let owner = Principal::new("session", "7f3a").with_attribute("purpose", "login");
    /// let state = tokens.issue(NewToken::for_principal(TokenKind::OneTime, owner)).await?;
    ///
    /// let text = state.token().expose().as_bytes();
    /// let used = tokens.consume(text).await?;
    /// assert_eq!(used.principal().attribute("purpose"), Some("login"));
    /// assert!(tokens.consume(text).await.is_err(), "used up");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError::Invalid`] if it is no live one-time token or was used before. After
    /// [`VerifyError::Unavailable`] it may be used up or not.
    pub async fn consume(&self, text: &[u8]) -> Result<Verified, VerifyError> {
        // Only who holds the secret may use it up; its id is no secret.
        let verified = self.verify(TokenKind::OneTime, text).await?;
        let taken = self.0.store.take(&verified.record().id()).await;
        let record = taken
            .map_err(|error| VerifyError::Unavailable(noted("take", error)))?
            .ok_or(InvalidReason::Unknown)?;
        if !record.is_live(self.0.clock.wall()) {
            return Err(InvalidReason::Expired.into());
        }
        let event = TokenEvent::Consumed { record: &record };
        self.0.observer.tell(&event);
        Ok(Verified { record })
    }

    /// Makes a token invalid from now on; whether it was known. Its successors stay: to end all that
    /// came from one login, revoke the [family](Self::revoke_family).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: the token may still be valid.
    pub async fn revoke(&self, id: &TokenId) -> Result<bool, StoreError> {
        Ok(self.revoke_all(Revocation::Tokens(&[*id])).await? > 0)
    }

    /// Makes a token and all that came from the same first token by rotation invalid; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be valid.
    pub async fn revoke_family(&self, family: &TokenId) -> Result<u64, StoreError> {
        self.revoke_all(Revocation::Family(*family)).await
    }

    /// Makes all tokens of one owner invalid; how many. `kind` and `subject` are its principal's.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be valid.
    pub async fn revoke_subject(&self, kind: &str, subject: &str) -> Result<u64, StoreError> {
        self.revoke_all(Revocation::Subject { kind, subject }).await
    }

    /// Makes all tokens invalid that came from one issued before this instant; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be valid.
    pub async fn revoke_begun_before(&self, instant: SystemTime) -> Result<u64, StoreError> {
        self.revoke_all(Revocation::BegunBefore(instant)).await
    }

    /// Makes all tokens invalid that a revocation covers, e.g. a batch of ids; how many. A rotation at
    /// the same time leaves no successor behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be valid, and none that is not comes
    /// back. Revoke again: that completes it, and tells of what was left.
    pub async fn revoke_all(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        let revoked = self.0.store.revoke(revocation).await;
        let count = revoked.map_err(|error| noted("revoke", error))?;
        if count > 0 {
            let event = TokenEvent::Revoked { revocation, count };
            self.0.observer.tell(&event);
        }
        Ok(count)
    }

    /// One page of records, dead ones among them until they are swept. Go on with the
    /// [cursor](crate::store::Cursor::of) of the last one; a page that is empty is behind the end.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked.
    pub async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        let page = self.0.store.list(list).await;
        page.map_err(|error| noted("list", error))
    }

    /// Drops records that are not needed any more; how many. Stores also do so when they need room:
    /// call it every few minutes to return memory sooner.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let dropped = self.0.store.sweep(self.0.clock.wall()).await;
        dropped.map_err(|error| noted("sweep", error))
    }
}

fn noted(operation: &'static str, error: StoreError) -> StoreError {
    meter::store_failed(operation);
    error
}
