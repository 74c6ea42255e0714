//! Engine: why somebody was not admitted.

use std::fmt;

/// Why an applicant was refused. It is for logs and audit: callers are told one sentence, whatever the reason.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// It presents no digest of its program.
    ArtifactMissing,
    /// It says what its program is, and nobody has measured it.
    ArtifactNotMeasured,
    /// Its author is not one of those the host trusts.
    AuthorNotTrusted,
    /// The manifest does not say how its program was built, and a policy wants to know.
    BuildInfoMissing,
    /// As many admissions as may go on at once do.
    Busy,
    /// Nobody is admitted.
    Closed,
    /// A plugin it depends on is not there.
    DependencyMissing,
    /// Its program has another digest than the manifest says.
    DigestMismatch,
    /// Its program was built for another environment.
    EnvironmentNotAllowed,
    /// It comes from another file than the manifest says.
    FilenameMismatch,
    /// The manifest is not valid any more.
    ManifestExpired,
    /// No manifest was installed.
    ManifestMissing,
    /// The manifest is not valid yet.
    ManifestNotYetValid,
    /// Its program was not built reproducibly.
    NotReproducible,
    /// Nobody has verified who it is.
    PeerMissing,
    /// Who it was verified to be is not on the list, or not under this name.
    PeerNotAllowed,
    /// The manifest does not list it.
    PluginUnknown,
    /// It is in quarantine, or its peer is.
    Quarantined,
    /// It sent no secret.
    SecretMissing,
    /// It sent another secret.
    SecretWrong,
    /// Its program has another size than the manifest says.
    SizeMismatch,
    /// The manifest lists other versions of it.
    VersionMismatch,
}

impl RefusalReason {
    /// A name for programs, which stays stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ArtifactMissing => "artifact_missing",
            Self::ArtifactNotMeasured => "artifact_not_measured",
            Self::AuthorNotTrusted => "author_not_trusted",
            Self::BuildInfoMissing => "build_info_missing",
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::DependencyMissing => "dependency_missing",
            Self::DigestMismatch => "digest_mismatch",
            Self::EnvironmentNotAllowed => "environment_not_allowed",
            Self::FilenameMismatch => "filename_mismatch",
            Self::ManifestExpired => "manifest_expired",
            Self::ManifestMissing => "manifest_missing",
            Self::ManifestNotYetValid => "manifest_not_yet_valid",
            Self::NotReproducible => "not_reproducible",
            Self::PeerMissing => "peer_missing",
            Self::PeerNotAllowed => "peer_not_allowed",
            Self::PluginUnknown => "plugin_unknown",
            Self::Quarantined => "quarantined",
            Self::SecretMissing => "secret_missing",
            Self::SecretWrong => "secret_wrong",
            Self::SizeMismatch => "size_mismatch",
            Self::VersionMismatch => "version_mismatch",
        }
    }

    /// Whether nothing was presented, rather than the wrong thing.
    pub(super) const fn is_absence(self) -> bool {
        matches!(
            self,
            Self::ArtifactMissing | Self::Closed | Self::PeerMissing | Self::SecretMissing
        )
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
