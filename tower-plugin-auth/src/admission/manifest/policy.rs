//! Engine: what a host makes of a manifest.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use super::{
    Manifest, ManifestError, ManifestErrorKind, ManifestLimits, PluginEntry, Timestamp,
    TrustedKeys, VerifiedManifest,
};
use crate::{
    admission::{Applicant, Artifact, RefusalReason},
    config::InvalidConfig,
};

/// What a host makes of manifests: whom it trusts, and how much it wants to know.
///
/// Trust is the host's: a plugin's own `trusted` means nothing. By default nobody is trusted, what a caller says of
/// its program does not count, and it does not matter how it was built.
#[derive(Clone, Debug)]
#[must_use]
pub struct ManifestPolicy {
    keys: TrustedKeys,
    authors: BTreeSet<Box<str>>,
    allow_untrusted: bool,
    accept_declared: bool,
    require_reproducible: bool,
    environments: BTreeSet<Box<str>>,
    limits: ManifestLimits,
}

impl ManifestPolicy {
    /// Believes what is signed under these keys, and trusts no author yet.
    pub fn new(keys: TrustedKeys) -> Self {
        Self {
            keys,
            authors: BTreeSet::new(),
            allow_untrusted: false,
            accept_declared: false,
            require_reproducible: false,
            environments: BTreeSet::new(),
            limits: ManifestLimits::new(),
        }
    }

    /// Trusts an author, by the name as it is written in manifests.
    pub fn with_trusted_author(mut self, author: impl Into<Box<str>>) -> Self {
        self.authors.insert(author.into());
        self
    }

    /// Lets in plugins of any author: no by default. The manifest still has to be signed under a trusted key.
    ///
    /// Insecure because whoever signs then vouches for everybody whose work they list.
    pub fn with_insecure_untrusted_authors(mut self, allow: bool) -> Self {
        self.allow_untrusted = allow;
        self
    }

    /// Takes a caller's word for the digest of its program: no by default.
    ///
    /// Insecure because everybody who has read the manifest can say it. So it is accepted only in a rule that
    /// nobody meets without a secret or a verified peer; then it keeps out those who run another version by
    /// mistake.
    pub fn with_insecure_declared_artifacts(mut self, accept: bool) -> Self {
        self.accept_declared = accept;
        self
    }

    /// Wants plugins that are said to be built reproducibly: no by default.
    pub fn with_reproducible(mut self, require: bool) -> Self {
        self.require_reproducible = require;
        self
    }

    /// Wants plugins that were built for this environment, or another one named so: any by default.
    pub fn with_environment(mut self, environment: impl Into<Box<str>>) -> Self {
        self.environments.insert(environment.into());
        self
    }

    /// How large manifests and what they list may be.
    pub fn with_limits(mut self, limits: ManifestLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How large manifests and what they list may be.
    pub fn limits(&self) -> &ManifestLimits {
        &self.limits
    }

    pub(in crate::admission) fn accepts_declared(&self) -> bool {
        self.accept_declared
    }

    pub(in crate::admission) fn validate(&self) -> Result<(), InvalidConfig> {
        self.limits.validate()?;
        if self.keys.is_empty() {
            return Err(InvalidConfig::new("trusted_keys", "1 to 64 keys"));
        }
        let are_sane = |names: &BTreeSet<Box<str>>| {
            names.len() <= MAX_NAMES && names.iter().all(|name| super::fields::is_words(name))
        };
        if !are_sane(&self.authors) || (self.authors.is_empty() && !self.allow_untrusted) {
            return Err(InvalidConfig::new(
                "trusted_authors",
                "1 to 256 names, or allow_untrusted be set",
            ));
        }
        // Otherwise a list somebody believes in would mean nothing.
        if self.allow_untrusted && !self.authors.is_empty() {
            return Err(InvalidConfig::new(
                "allow_untrusted",
                "false where trusted_authors are named",
            ));
        }
        if !are_sane(&self.environments) {
            return Err(InvalidConfig::new(
                "allowed_environments",
                "at most 256 names",
            ));
        }
        Ok(())
    }

    /// Reads a manifest, and believes it if it is signed and `now` is within its time.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] says what is wrong with it.
    pub fn verify(&self, json: &[u8], now: SystemTime) -> Result<VerifiedManifest, ManifestError> {
        let manifest = Manifest::parse(json, &self.limits)?.verify(&self.keys)?;
        let now = Timestamp::of(now).ok_or(ManifestErrorKind::NotYetValid)?;
        check_period(manifest.manifest(), now)?;
        // One that is ahead of time would keep all out that come after it.
        if manifest.manifest().generated_at() > now.later_by(MAX_SKEW) {
            return Err(ManifestErrorKind::FromTheFuture.into());
        }
        Ok(manifest)
    }

    /// Decides on one applicant. `is_there` says whether a plugin others depend on is.
    ///
    /// # Errors
    ///
    /// The reason why it is not to be admitted.
    pub fn decide(
        &self,
        manifest: &VerifiedManifest,
        applicant: &Applicant<'_>,
        now: SystemTime,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<(), RefusalReason> {
        let manifest = manifest.manifest();
        let now = Timestamp::of(now).ok_or(RefusalReason::ManifestExpired)?;
        check_period(manifest, now).map_err(|kind| match kind {
            ManifestErrorKind::NotYetValid => RefusalReason::ManifestNotYetValid,
            _ => RefusalReason::ManifestExpired,
        })?;
        let artifact = applicant.artifact().ok_or(RefusalReason::ArtifactMissing)?;
        if !artifact.is_measured() && !self.accept_declared {
            return Err(RefusalReason::ArtifactNotMeasured);
        }
        // There may be several versions. Of those that do not match, the first one's reason is told.
        let mut refusal = RefusalReason::PluginUnknown;
        for entry in manifest.plugins() {
            if entry.name() != applicant.self_id() {
                continue;
            }
            match self.decide_on(entry, applicant, artifact, &is_there) {
                Ok(()) => return Ok(()),
                Err(reason) if refusal == RefusalReason::PluginUnknown => refusal = reason,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    fn decide_on(
        &self,
        entry: &PluginEntry,
        applicant: &Applicant<'_>,
        artifact: Artifact,
        is_there: &impl Fn(&str) -> bool,
    ) -> Result<(), RefusalReason> {
        if applicant.version().is_some_and(|it| it != entry.version()) {
            return Err(RefusalReason::VersionMismatch);
        }
        if applicant
            .filename()
            .is_some_and(|it| it != entry.filename())
        {
            return Err(RefusalReason::FilenameMismatch);
        }
        if artifact.size() != entry.size() {
            return Err(RefusalReason::SizeMismatch);
        }
        if artifact.sha256() != entry.sha256() {
            return Err(RefusalReason::DigestMismatch);
        }
        if !self.allow_untrusted && !self.authors.contains(entry.author()) {
            return Err(RefusalReason::AuthorNotTrusted);
        }
        self.decide_on_build(entry)?;
        match entry.dependencies().all(|name| is_there(name.as_str())) {
            true => Ok(()),
            false => Err(RefusalReason::DependencyMissing),
        }
    }

    fn decide_on_build(&self, entry: &PluginEntry) -> Result<(), RefusalReason> {
        if !self.require_reproducible && self.environments.is_empty() {
            return Ok(());
        }
        let build = entry.build_info().ok_or(RefusalReason::BuildInfoMissing)?;
        if self.require_reproducible && !build.is_reproducible() {
            return Err(RefusalReason::NotReproducible);
        }
        let is_allowed = |environment| self.environments.contains(environment);
        match self.environments.is_empty() || build.environment().is_some_and(is_allowed) {
            true => Ok(()),
            false => Err(RefusalReason::EnvironmentNotAllowed),
        }
    }
}

fn check_period(manifest: &Manifest, now: Timestamp) -> Result<(), ManifestErrorKind> {
    if manifest.not_before().is_some_and(|from| now < from) {
        return Err(ManifestErrorKind::NotYetValid);
    }
    if manifest.not_after().is_some_and(|to| now > to) {
        return Err(ManifestErrorKind::Expired);
    }
    Ok(())
}

/// By how much clocks may differ: 5 minutes.
const MAX_SKEW: i64 = Duration::from_secs(300).as_secs().cast_signed();
const MAX_NAMES: usize = 256;
