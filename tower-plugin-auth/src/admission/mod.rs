//! Who may have a token at all.
//!
//! Nobody gets a token for free: [`Admission`] decides on an [`Applicant`] by a [`Rule`] before one is issued. A rule
//! asks for a [secret](BootstrapSecret) the operator has handed out, for a [verified peer](Peers), for a place in
//! a signed `manifest` (feature `manifest`), or for several of these. [`Rule::Open`] lets in everybody, and
//! nothing else does.
//!
//! ```
//! use tower_plugin_auth::{
//!     MemoryStore, SystemRng, Tokens,
//!     admission::{Admission, Applicant, BootstrapSecret, Rule, Suspect},
//!     token::{KeyRing, TokenKind},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = Tokens::builder(MemoryStore::new(1000)?, KeyRing::random(&SystemRng)?).build()?;
//! let secret = BootstrapSecret::new("correct-horse-battery-staple")?;
//! let admission = Admission::builder(Rule::Secret(secret)).build()?;
//!
//! let name = "cache".parse()?;
//! let stranger = Applicant::new(&name);
//! let refused = admission.admit(&stranger).unwrap_err();
//! assert_eq!(refused.rejection().message(), "admission refused");
//!
//! let plugin = stranger.with_secret(BootstrapSecret::NAME, "correct-horse-battery-staple");
//! let issued = admission.admit(&plugin)?.issue(&tokens).await?;
//!
//! // Something is wrong with it: its tokens are revoked, and it does not come back.
//! admission.quarantine(&tokens, &Suspect::of(issued.principal())).await?;
//! let token = issued.token().expose().as_bytes();
//! assert!(tokens.verify(TokenKind::Runtime, token).await.is_err());
//! assert!(admission.admit(&plugin).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Failure modes
//!
//! Closed. No manifest, one that has expired, a watermark that cannot be read, a dependency that is not there, no
//! place: nobody is admitted. A full [quarantine](Admission::quarantine) says so, and lets nobody go to make room.
//! Callers are told one sentence for every [reason](RefusalReason); the exact one goes to
//! [observers](AdmissionBuilder::with_observer).

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::Principal;
#[cfg(feature = "manifest")]
use {
    manifest::{ManifestError, ManifestErrorKind, Shelf, VerifiedManifest},
    std::path::PathBuf,
    tower_plugin_core::Clock,
};

use self::{
    event::Observer,
    isolate::{RevokeGrants, RevokeGrantsOf},
    owed::Owed,
    place::Places,
    quarantine::Quarantine,
};
use crate::token::SelfId;

mod admitted;
mod applicant;
mod artifact;
mod builder;
#[cfg(feature = "manifest")]
mod config;
mod error;
mod event;
#[cfg(feature = "manifest")]
mod files;
mod isolate;
#[cfg(feature = "manifest")]
#[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
pub mod manifest;
mod owed;
mod peers;
mod place;
mod quarantine;
mod reason;
mod rule;
mod secret;

pub use admitted::{Admitted, Place};
pub use applicant::Applicant;
pub use artifact::{Artifact, ArtifactHasher};
pub use builder::AdmissionBuilder;
#[cfg(feature = "manifest")]
#[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
pub use config::{AdmissionConfig, ConfigError};
pub use error::{AdmissionError, QuarantineError};
pub use event::AdmissionEvent;
pub use isolate::Isolated;
pub use peers::Peers;
pub use quarantine::{ADMITTED_BY, PEER, PEER_KIND, Suspect};
pub use reason::RefusalReason;
pub use rule::{Grounds, Rule};
pub use secret::BootstrapSecret;

/// Decides who may have a token. Clones share everything. See the [module](self) for an example.
#[derive(Clone)]
pub struct Admission(Arc<Inner>);

struct Inner {
    rule: Rule,
    places: Places,
    quarantine: Mutex<Quarantine>,
    observer: Observer,
    revoke_grants: Option<RevokeGrants>,
    revoke_grants_of: Option<RevokeGrantsOf>,
    owed: Mutex<Owed>,
    #[cfg(feature = "manifest")]
    shelf: Option<Shelf>,
    #[cfg(feature = "manifest")]
    manifest_path: Option<PathBuf>,
    #[cfg(feature = "manifest")]
    clock: Arc<dyn Clock>,
}

impl Admission {
    /// Starts from a rule; see [`AdmissionBuilder`] for the rest.
    pub fn builder(rule: Rule) -> AdmissionBuilder {
        AdmissionBuilder::new(rule)
    }

    /// Decides on an applicant, and takes a place for it if it is admitted. Who is refused takes none: a flood of
    /// them keeps nobody out.
    ///
    /// # Errors
    ///
    /// [`AdmissionError::Refused`] with the reason, or [`AdmissionError::Busy`].
    pub fn admit(&self, applicant: &Applicant<'_>) -> Result<Admitted, AdmissionError> {
        let grounds = self.decide(applicant)?;
        let place = Place::take(self).ok_or_else(|| {
            self.tell_refused(applicant.self_id(), applicant.peer(), RefusalReason::Busy);
            AdmissionError::Busy
        })?;
        Ok(place.admitted(applicant, grounds))
    }

    /// Takes a place before there is anything to decide on.
    ///
    /// # Errors
    ///
    /// [`AdmissionError::Busy`] if none is left.
    pub fn enter(&self) -> Result<Place, AdmissionError> {
        Place::take(self).ok_or(AdmissionError::Busy)
    }

    /// How many admissions go on at this moment.
    #[must_use]
    pub fn in_progress(&self) -> usize {
        self.0.places.taken()
    }

    /// Whether everybody is admitted: worth a warning when a host starts.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.0.rule, Rule::Open)
    }

    /// Installs a manifest, wherever it comes from: it is believed for its signature. Whatever is wrong with it, the
    /// one in force stays. Plugins that were admitted before stay, too: quarantine those that are not to.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] says what is wrong with it.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn install_manifest(&self, json: &[u8]) -> Result<Arc<VerifiedManifest>, ManifestError> {
        let shelf = self.0.shelf.as_ref().ok_or(ManifestErrorKind::NotInUse);
        let installed = shelf
            .map_err(ManifestError::from)
            .and_then(|shelf| shelf.install(json, self.0.clock.wall()));
        self.0.observer.tell(&match &installed {
            Ok(manifest) => AdmissionEvent::ManifestInstalled { manifest },
            Err(error) => AdmissionEvent::ManifestRefused { error },
        });
        installed
    }

    /// Reads and installs the manifest at the [path](AdmissionBuilder::with_manifest_path) that was set. Call it when
    /// a host starts, and whenever the file has changed. It blocks.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if the file is no regular one, cannot be read or is too large, or what is wrong with it. Of
    /// [`NotInUse`](ManifestErrorKind::NotInUse) observers are not told: nobody has offered a manifest.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn load_manifest(&self) -> Result<Arc<VerifiedManifest>, ManifestError> {
        let (Some(shelf), Some(path)) = (&self.0.shelf, &self.0.manifest_path) else {
            // Observers are not told: nobody has offered one that could be refused.
            return Err(ManifestErrorKind::NotInUse.into());
        };
        let max = shelf.policy().limits().max_bytes();
        match files::read(path, max).map_err(ManifestError::io) {
            Ok(json) => self.install_manifest(&json),
            Err(error) => {
                let event = AdmissionEvent::ManifestRefused { error: &error };
                self.0.observer.tell(&event);
                Err(error)
            }
        }
    }

    /// The manifest in force. It may have expired.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    #[must_use]
    pub fn manifest(&self) -> Option<Arc<VerifiedManifest>> {
        self.0.shelf.as_ref()?.in_force()
    }

    /// Notes that the last run of a plugin is gone, so that nobody can depend on it.
    #[cfg(feature = "manifest")]
    #[cfg_attr(docsrs, doc(cfg(feature = "manifest")))]
    pub fn left(&self, self_id: &SelfId) {
        if let Some(shelf) = &self.0.shelf {
            shelf.left(self_id.as_str());
        }
    }

    fn decide(&self, applicant: &Applicant<'_>) -> Result<Grounds, AdmissionError> {
        let (self_id, peer) = (applicant.self_id(), applicant.peer());
        let refuse = |reason| self.refuse(self_id, peer, reason);
        let grounds = self
            .0
            .rule
            .decide(applicant, &|applicant| self.0.decide_by_manifest(applicant))
            .map_err(refuse)?;
        // Last: only who could have been a suspect is taken for one.
        match self.keeps_out(self_id, peer) {
            true => Err(refuse(RefusalReason::Quarantined)),
            false => Ok(grounds),
        }
    }

    fn keeps_out(&self, self_id: &SelfId, peer: Option<&Principal>) -> bool {
        self.0.quarantine.lock().keeps_out(self_id, peer)
    }

    fn refuse(
        &self,
        self_id: &SelfId,
        peer: Option<&Principal>,
        reason: RefusalReason,
    ) -> AdmissionError {
        self.tell_refused(self_id, peer, reason);
        AdmissionError::Refused(reason)
    }

    fn tell_refused(&self, self_id: &SelfId, peer: Option<&Principal>, reason: RefusalReason) {
        tracing::debug!(%self_id, %reason, "admission refused");
        self.0.observer.tell(&AdmissionEvent::Refused {
            self_id,
            peer,
            reason,
        });
    }
}

impl Inner {
    #[cfg(feature = "manifest")]
    fn decide_by_manifest(&self, applicant: &Applicant<'_>) -> Result<(), RefusalReason> {
        let shelf = self.shelf.as_ref().ok_or(RefusalReason::ManifestMissing)?;
        shelf.decide(applicant, self.clock.wall())
    }

    #[cfg(not(feature = "manifest"))]
    fn decide_by_manifest(&self, _: &Applicant<'_>) -> Result<(), RefusalReason> {
        Err(RefusalReason::Closed)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("rule", &self.0.rule)
            .field("in_progress", &self.in_progress())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
