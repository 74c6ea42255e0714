//! Putting somebody in quarantine, and letting them go.

use std::{collections::HashSet, future::Future, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::Principal;

use super::{
    Admission, AdmissionEvent, Inner, QuarantineError, Suspect,
    owed::{Owed, Owner},
};
use crate::{
    store::{Cursor, List, StoreError, TokenStore},
    tokens::Tokens,
};

pub(super) type RevokeGrants = Arc<
    dyn Fn(Principal) -> Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send>>
        + Send
        + Sync,
>;

pub(super) type RevokeGrantsOf = Arc<
    dyn Fn(Suspect) -> Pin<Box<dyn Future<Output = Result<u64, StoreError>> + Send>> + Send + Sync,
>;

/// What was taken from somebody who is in quarantine now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Isolated {
    /// How many tokens were revoked.
    pub tokens: u64,
    /// How many grants, if a [store](super::AdmissionBuilder::with_grant_store) or
    /// [somebody](super::AdmissionBuilder::with_grant_revocation) was there to revoke any.
    pub grants: Option<u64>,
}

impl Admission {
    /// Keeps a suspect out from now on, and revokes the tokens and grants it has.
    ///
    /// It is kept out before anything else happens, so whoever is being admitted at this moment gets no token that
    /// works. A plugin is known by the name it calls itself: where all share one secret and nothing else is asked for, it may
    /// come back under another, so replace the secret, too. Of a plugin, every run is looked for in the whole store, page by page: this is for incidents. Do it
    /// again if it has failed or was cancelled. Every copy of a host keeps its own quarantine, while a store they
    /// share loses the tokens for all of them: tell the others, e.g. by the [event](AdmissionEvent::Quarantined).
    ///
    /// # Errors
    ///
    /// [`QuarantineError`] says what could not be done. Everything else was.
    pub async fn quarantine<S: TokenStore>(
        &self,
        tokens: &Tokens<S>,
        suspect: &Suspect,
    ) -> Result<Isolated, QuarantineError> {
        let suspect = &suspect.canonical();
        let is_kept_out = self.0.quarantine.lock().put(suspect);
        #[cfg(feature = "manifest")]
        if let Some(shelf) = &self.0.shelf {
            match suspect {
                Suspect::Plugin(name) => shelf.left(name.as_str()),
                Suspect::Principal { .. } => shelf.left_with(suspect),
            }
        }

        let mut grants = Grants::new(&self.0, suspect);
        grants.revoke_of(suspect.as_principal()).await;
        grants.revoke_owed().await;
        let revoked = revoke_tokens(tokens, suspect, &mut grants).await;
        // Last: with a token that lived until now it may have asked for another.
        grants.revoke_by_record().await;
        let isolated = Isolated {
            tokens: revoked.as_ref().copied().unwrap_or(0),
            grants: grants.count(),
        };
        self.0.observer.tell(&AdmissionEvent::Quarantined {
            suspect,
            tokens: revoked.as_ref().ok().copied(),
            grants: isolated.grants,
        });
        revoked.map_err(QuarantineError::Tokens)?;
        if let Some(error) = grants.failure {
            return Err(QuarantineError::Grants(error));
        }
        match is_kept_out {
            true => Ok(isolated),
            false => Err(QuarantineError::Full),
        }
    }

    /// Lets a suspect apply again; whether it was kept out. What was revoked stays revoked.
    #[expect(
        clippy::must_use_candidate,
        reason = "whether it was kept out may not matter"
    )]
    pub fn release(&self, suspect: &Suspect) -> bool {
        let was_kept_out = self.0.quarantine.lock().release(suspect);
        if was_kept_out {
            self.0.observer.tell(&AdmissionEvent::Released { suspect });
        }
        was_kept_out
    }

    /// Whether somebody is kept out.
    #[must_use]
    pub fn is_quarantined(&self, suspect: &Suspect) -> bool {
        self.0.quarantine.lock().holds(suspect)
    }

    /// Whether a caller is kept out, is a run of a plugin that is, or was admitted as a peer that is.
    ///
    /// For whatever else is handed out to callers; of grants, hand it to
    /// [`with_barred`](crate::broker::CapabilityBrokerBuilder::with_barred). A token is revoked in the store, and copies
    /// of it may be served for a while where there is a cache; this is true at once.
    #[must_use]
    pub fn is_barred(&self, principal: &Principal) -> bool {
        self.0.quarantine.lock().holds_owner(principal)
    }

    /// All who are kept out, in no order, to be written down for the next run.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Suspect> {
        self.0.quarantine.lock().iter().cloned().collect()
    }
}

struct Grants<'a> {
    suspect: &'a Suspect,
    owed: &'a Mutex<Owed>,
    revoke: Option<&'a RevokeGrants>,
    revoke_all: Option<&'a RevokeGrantsOf>,
    revoked: u64,
    failure: Option<StoreError>,
}

impl<'a> Grants<'a> {
    fn new(inner: &'a Inner, suspect: &'a Suspect) -> Self {
        Self {
            suspect,
            owed: &inner.owed,
            revoke: inner.revoke_grants.as_ref(),
            revoke_all: inner.revoke_grants_of.as_ref(),
            revoked: 0,
            failure: None,
        }
    }

    /// How many were revoked, if somebody was there to revoke any, and has.
    fn count(&self) -> Option<u64> {
        let is_asked = self.revoke.is_some() || self.revoke_all.is_some();
        (is_asked && self.failure.is_none()).then_some(self.revoked)
    }

    /// Whether it will be known that these are still to be revoked when no token says so any more.
    fn owe(&self, owner: &Principal) -> bool {
        self.revoke.is_none() || self.owed.lock().note(self.suspect, key_of(owner))
    }

    /// What an earlier attempt has left.
    async fn revoke_owed(&mut self) {
        let owed = self.owed.lock().of(self.suspect);
        for (kind, subject) in owed {
            self.revoke_of(Principal::new(kind.into_string(), subject))
                .await;
        }
    }

    /// Whether it was done. One failure is no reason to leave the others alive.
    async fn revoke_of(&mut self, holder: Principal) -> bool {
        let Some(revoke) = self.revoke else {
            return true;
        };
        let owner = key_of(&holder);
        let outcome = revoke(holder).await;
        if outcome.is_ok() {
            self.owed.lock().settle(self.suspect, owner);
        }
        self.note(outcome)
    }

    /// Those of which the records themselves say whose they are.
    async fn revoke_by_record(&mut self) {
        if let Some(revoke) = self.revoke_all {
            let outcome = revoke(self.suspect.clone()).await;
            self.note(outcome);
        }
    }

    fn note(&mut self, outcome: Result<u64, StoreError>) -> bool {
        match outcome {
            Ok(count) => self.revoked = self.revoked.saturating_add(count),
            Err(error) => {
                self.failure = Some(error);
                return false;
            }
        }
        true
    }
}

fn key_of(owner: &Principal) -> Owner {
    (owner.kind().into(), owner.subject().into())
}

async fn revoke_tokens<S: TokenStore>(
    tokens: &Tokens<S>,
    suspect: &Suspect,
    grants: &mut Grants<'_>,
) -> Result<u64, StoreError> {
    let mut revoked = 0;
    let mut last = None;
    loop {
        let mut list = List::all()
            .with_limit(List::MAX_LIMIT)
            .unwrap_or(List::all());
        if let Some(last) = last {
            list = list.after(last);
        }
        let page = tokens.list(&list).await?;
        let Some(end) = page.last() else {
            return Ok(revoked);
        };
        last = Some(Cursor::of(end));
        let mut seen = HashSet::new();
        for record in &page {
            let owner = record.principal();
            if suspect.owns_as(owner) && seen.insert((owner.kind(), owner.subject())) {
                let holder = || Principal::new(owner.kind().to_owned(), owner.subject());
                // Where its grants cannot be remembered, its tokens are what they are found by: those go last.
                if !grants.owe(owner) && !grants.revoke_of(holder()).await {
                    continue;
                }
                revoked += tokens.revoke_subject(owner.kind(), owner.subject()).await?;
                grants.revoke_of(holder()).await;
            }
        }
    }
}
