//! Engine: what a caller presents to be admitted.

use std::fmt;

use tower_plugin_core::Principal;

use super::Artifact;
use crate::token::SelfId;

/// A caller that wants to join, and what it presents.
///
/// All of it but the peer is its own word, which [`Admission`](super::Admission) holds against what it knows.
///
/// ```
/// use tower_plugin_auth::admission::{Applicant, Artifact};
///
/// let name = "cache".parse()?;
/// let applicant = Applicant::new(&name)
///     .with_secret("CONNECT_PLUGIN", "what the operator has handed out")
///     .with_artifact(Artifact::of(b"the bytes that will run"));
/// assert!(!format!("{applicant:?}").contains("operator"));
/// # Ok::<_, tower_plugin_auth::token::InvalidSelfId>(())
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct Applicant<'a> {
    self_id: &'a SelfId,
    secret: Option<(&'a str, &'a str)>,
    peer: Option<&'a Principal>,
    version: Option<&'a str>,
    filename: Option<&'a str>,
    artifact: Option<Artifact>,
}

impl<'a> Applicant<'a> {
    /// A caller that presents nothing but what it calls itself.
    pub fn new(self_id: &'a SelfId) -> Self {
        Self {
            self_id,
            secret: None,
            peer: None,
            version: None,
            filename: None,
            artifact: None,
        }
    }

    /// The name and the value of the secret it has sent.
    pub fn with_secret(mut self, name: &'a str, value: &'a str) -> Self {
        self.secret = Some((name, value));
        self
    }

    /// Who it was found to be, by somebody who has verified it: the principal of `MtlsAuthenticator`, or what
    /// `authenticate::peer` reads from a [`TlsInfo`](crate::TlsInfo) (feature `mtls`).
    pub fn with_peer(mut self, peer: &'a Principal) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The version it says to be. Where it says one, the manifest has to list that one.
    pub fn with_version(mut self, version: &'a str) -> Self {
        self.version = Some(version);
        self
    }

    /// The file it comes from. Where it is known, the manifest has to list that one.
    pub fn with_filename(mut self, filename: &'a str) -> Self {
        self.filename = Some(filename);
        self
    }

    /// The digest and the size of its program.
    pub fn with_artifact(mut self, artifact: Artifact) -> Self {
        self.artifact = Some(artifact);
        self
    }

    /// What it calls itself.
    #[must_use]
    pub fn self_id(&self) -> &'a SelfId {
        self.self_id
    }

    /// Who it was found to be.
    #[must_use]
    pub fn peer(&self) -> Option<&'a Principal> {
        self.peer
    }

    /// The version it says to be.
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        self.version
    }

    /// The file it comes from.
    #[must_use]
    pub fn filename(&self) -> Option<&'a str> {
        self.filename
    }

    /// The digest and the size of its program.
    #[must_use]
    pub fn artifact(&self) -> Option<Artifact> {
        self.artifact
    }

    pub(super) fn secret(&self) -> Option<(&'a str, &'a str)> {
        self.secret
    }
}

impl fmt::Debug for Applicant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applicant")
            .field("self_id", &self.self_id)
            .field("peer", &self.peer)
            .field("version", &self.version)
            .field("filename", &self.filename)
            .field("artifact", &self.artifact)
            .finish_non_exhaustive()
    }
}
