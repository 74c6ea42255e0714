use std::fmt;

use tower_plugin_core::Principal;

#[cfg(feature = "manifest")]
use super::Suspect;
use super::{
    Admission, AdmissionError, AdmissionEvent, Applicant, Grounds, RefusalReason,
    quarantine::{ADMITTED_BY, PEER, PEER_KIND},
};
use crate::{
    store::TokenStore,
    token::SelfId,
    tokens::{Issued, NewToken, Tokens},
};

/// One of the places for admissions that go on at the same time; dropping it gives it back.
///
/// Take one before work that costs something is done for an applicant, such as receiving and hashing its program.
#[must_use]
pub struct Place {
    admission: Admission,
}

impl Place {
    pub(super) fn take(admission: &Admission) -> Option<Self> {
        admission.0.places.take().then(|| Self {
            admission: admission.clone(),
        })
    }

    /// Decides on the applicant whose place this is.
    ///
    /// # Errors
    ///
    /// [`AdmissionError::Refused`] with the reason. The place is given back.
    pub fn admit(self, applicant: &Applicant<'_>) -> Result<Admitted, AdmissionError> {
        let grounds = self.admission.decide(applicant)?;
        Ok(self.admitted(applicant, grounds))
    }

    pub(super) fn admitted(self, applicant: &Applicant<'_>, grounds: Grounds) -> Admitted {
        Admitted {
            self_id: applicant.self_id().clone(),
            peer: applicant.peer().cloned(),
            grounds,
            place: self,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.0.places.give_back();
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// An applicant that may have a token. It holds a [`Place`] until it has one, or is dropped.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    self_id: SelfId,
    peer: Option<Principal>,
    grounds: Grounds,
    place: Place,
}

impl Admitted {
    /// By what it was admitted.
    #[must_use]
    pub fn grounds(&self) -> Grounds {
        self.grounds
    }

    /// What it calls itself.
    #[must_use]
    pub fn self_id(&self) -> &SelfId {
        &self.self_id
    }

    /// Issues its runtime token. The owner gets the attributes [`ADMITTED_BY`], and [`PEER`] and [`PEER_KIND`] where
    /// a peer was verified.
    ///
    /// # Errors
    ///
    /// [`AdmissionError::Issue`] if there is no token to be had, and [`AdmissionError::Refused`] if the applicant was
    /// put in quarantine meanwhile: its token is dead, or known to nobody.
    pub async fn issue<S: TokenStore>(self, tokens: &Tokens<S>) -> Result<Issued, AdmissionError> {
        let new = NewToken::runtime(&self.self_id);
        self.issue_as(tokens, new).await
    }

    /// Issues another token than that, e.g. one of a shorter life.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue).
    pub async fn issue_as<S: TokenStore>(
        self,
        tokens: &Tokens<S>,
        new: NewToken,
    ) -> Result<Issued, AdmissionError> {
        let mut new = new.with_attribute(ADMITTED_BY, self.grounds.to_string());
        if let Some(peer) = &self.peer {
            new = new
                .with_attribute(PEER_KIND, peer.kind())
                .with_attribute(PEER, peer.subject());
        }
        let issued = tokens.issue(new).await.map_err(AdmissionError::Issue)?;
        if let Err(refused) = self.arrive(Some(issued.principal())) {
            // Whoever put it in quarantine has looked for its tokens, and may have come too early for this one.
            if let Err(error) = tokens.revoke(&issued.token().id()).await {
                tracing::warn!(%error, "token of a plugin in quarantine not revoked; nobody has it");
            }
            return Err(refused);
        }
        Ok(issued)
    }

    /// Lets it in without a token of ours: for hosts that have their own.
    ///
    /// Issue the token first and hand it out afterwards: then a quarantine that began in between is not missed.
    ///
    /// # Errors
    ///
    /// [`AdmissionError::Refused`] if it was put in quarantine meanwhile.
    pub fn confirm(self) -> Result<(), AdmissionError> {
        self.arrive(None)
    }

    fn arrive(&self, principal: Option<&Principal>) -> Result<(), AdmissionError> {
        let (admission, peer) = (&self.place.admission, self.peer.as_ref());
        // Under one lock: a quarantine in between would look for it on the shelf before it is there.
        let is_kept_out = {
            let quarantine = admission.0.quarantine.lock();
            let is_kept_out = quarantine.keeps_out(&self.self_id, peer);
            #[cfg(feature = "manifest")]
            if !is_kept_out {
                self.put_on_shelf();
            }
            is_kept_out
        };
        if is_kept_out {
            return Err(admission.refuse(&self.self_id, peer, RefusalReason::Quarantined));
        }
        admission.0.observer.tell(&AdmissionEvent::Admitted {
            self_id: &self.self_id,
            grounds: self.grounds,
            peer,
            principal,
        });
        Ok(())
    }

    /// Who came by other means may call itself what it likes, and nobody may depend on that.
    #[cfg(feature = "manifest")]
    fn put_on_shelf(&self) {
        let shelf = self.place.admission.0.shelf.as_ref();
        if let Some(shelf) = shelf.filter(|_| self.grounds.manifest()) {
            let peer = self.peer.as_ref().map(Suspect::of);
            shelf.arrived(self.self_id.as_str(), peer);
        }
    }
}
