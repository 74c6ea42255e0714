use std::{sync::Arc, time::SystemTime};

use super::{CapabilityBroker, Denied, Grant, GrantError, GrantEvent};
use crate::{
    Answer,
    grant::{Accepted, Asked, DenialReason, GrantRecord, LinkId, PresentedGrant, check},
    store::{Counted, FoundGrant, GrantRevocation, GrantStore, StoreError},
    token::TokenId,
};

impl<S: GrantStore> CapabilityBroker<S> {
    /// Finds out whether what a caller has sent is good for what he asks, and counts the use.
    ///
    /// For servers that have no [`CapabilityLayer`](crate::CapabilityLayer): `asked.now` should be
    /// [`now`](Self::now).
    ///
    /// # Errors
    ///
    /// [`GrantError::Denied`] for everything that is not a grant for this, and [`GrantError::Unavailable`] if the
    /// store cannot say; the use may be counted then, or not.
    pub async fn authorize(&self, text: &[u8], asked: &Asked<'_>) -> Result<Grant, GrantError> {
        let outcome = self.look_up_and_count(text, asked).await;
        outcome.map_err(|refusal| match refusal {
            Refusal::Denied(denied) => {
                self.tell_denied(asked.capability(), &denied);
                GrantError::Denied(denied.reason)
            }
            Refusal::Unavailable(error) => GrantError::Unavailable(error),
        })
    }

    async fn look_up_and_count(&self, text: &[u8], asked: &Asked<'_>) -> Result<Grant, Refusal> {
        let presented = PresentedGrant::parse(text)
            .map_err(|malformed| Refusal::Denied(Denied::unknown(None, malformed)))?;
        let found = self.0.store.get(&presented.id()).await;
        let checked = self.judge(&presented, found, asked)?;
        match checked.count(self) {
            Answer::Ready(grant) => grant,
            Answer::Pending((counting, checked)) => self.counted(checked, counting.await),
        }
    }

    /// Makes a grant and all that was derived from it good for nothing, from now on; whether it was known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: the grant may still be good.
    pub async fn revoke(&self, id: &TokenId) -> Result<bool, StoreError> {
        Ok(self.revoke_all(GrantRevocation::Grant(*id)).await? > 0)
    }

    /// Makes one token of a grant, and all that was derived from that one, good for nothing; whether the grant was
    /// known. That the link is one of its links, nobody can tell before it is used.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: the token may still be good.
    pub async fn revoke_link(&self, grant: &TokenId, link: &LinkId) -> Result<bool, StoreError> {
        let (grant, link) = (*grant, *link);
        Ok(self
            .revoke_all(GrantRevocation::Link { grant, link })
            .await?
            > 0)
    }

    /// Makes all grants that were issued to one principal good for nothing; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be good.
    pub async fn revoke_subject(&self, kind: &str, subject: &str) -> Result<u64, StoreError> {
        self.revoke_all(GrantRevocation::Subject { kind, subject })
            .await
    }

    /// Makes all grants for one type of capability good for nothing; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be good.
    pub async fn revoke_capability(&self, capability: &str) -> Result<u64, StoreError> {
        self.revoke_all(GrantRevocation::Capability(capability))
            .await
    }

    /// Makes good for nothing what a revocation covers; how many grants that concerns.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked: some may still be good.
    pub async fn revoke_all(&self, revocation: GrantRevocation<'_>) -> Result<u64, StoreError> {
        let count = self.0.store.revoke(revocation).await?;
        if count > 0 {
            let event = GrantEvent::Revoked { revocation, count };
            self.0.observer.tell(&event);
        }
        Ok(count)
    }

    /// Drops the records of expired grants; how many. Stores also do so when they need room: call it every few
    /// minutes to return memory sooner.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not be asked.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.0.store.sweep(self.0.clock.wall()).await
    }

    /// The time by which it decides.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.0.clock.wall()
    }

    /// What is to be said of a presented grant once the store has said what it knows.
    pub(crate) fn judge(
        &self,
        presented: &PresentedGrant,
        found: FoundGrant,
        asked: &Asked<'_>,
    ) -> Result<Checked, Refusal> {
        let record = found.map_err(Refusal::Unavailable)?;
        match (
            check(&self.0.keys, presented, record.as_deref(), asked),
            record,
        ) {
            (Ok(accepted), Some(record)) => Ok(Checked { record, accepted }),
            (Err(reason), record) => Err(Refusal::Denied(Denied {
                id: Some(presented.id()),
                record,
                reason,
            })),
            // What was accepted has a record.
            (Ok(_), None) => Err(Refusal::Denied(Denied::unknown(
                Some(presented.id()),
                DenialReason::Unknown,
            ))),
        }
    }

    /// What is to be said once the store has counted, or has not.
    pub(crate) fn counted(
        &self,
        checked: Checked,
        counted: Result<Counted, StoreError>,
    ) -> Result<Grant, Refusal> {
        let reason = match counted.map_err(Refusal::Unavailable)? {
            Counted::Used { left } => return Ok(self.used(checked, left)),
            Counted::Gone => DenialReason::Unknown,
            Counted::UsedUp => DenialReason::UsedUp,
        };
        Err(Refusal::Denied(Denied {
            id: Some(checked.record.id()),
            record: Some(checked.record),
            reason,
        }))
    }

    fn used(&self, checked: Checked, uses_left: Option<u32>) -> Grant {
        let grant = Grant::new(checked.record, &checked.accepted, uses_left);
        self.0.observer.tell(&GrantEvent::Used { grant: &grant });
        grant
    }

    pub(crate) fn tell_denied(&self, capability: &str, denied: &Denied) {
        self.0.observer.tell(&GrantEvent::Denied {
            capability,
            id: denied.id,
            record: denied.record.as_deref(),
            reason: denied.reason,
        });
    }
}

/// A grant that is good for the request, if its uses are not used up.
#[derive(Debug)]
pub(crate) struct Checked {
    record: Arc<GrantRecord>,
    accepted: Accepted,
}

impl Checked {
    /// Counts the use, where uses are counted. What is left to be done is handed back with what to wait for.
    pub(crate) fn count<S: GrantStore>(
        self,
        broker: &CapabilityBroker<S>,
    ) -> Answer<Result<Grant, Refusal>, (S::Using, Self)> {
        let uses = self.accepted.uses();
        if uses.are_unlimited() {
            return Answer::Ready(Ok(broker.used(self, None)));
        }
        match broker.0.store.count_use(&self.record.id(), uses) {
            Answer::Ready(counted) => Answer::Ready(broker.counted(self, counted)),
            Answer::Pending(counting) => Answer::Pending((counting, self)),
        }
    }
}

/// Why a request does not pass.
#[derive(Debug)]
pub(crate) enum Refusal {
    Denied(Denied),
    Unavailable(StoreError),
}
