//! Who may join: what is asked of a plugin in its handshake.

use std::{fmt, sync::Arc};

use tower_plugin_auth::{
    admission::{
        Admission, AdmissionBuilder, AdmissionEvent, BootstrapSecret, Rule,
        manifest::{FileWatermark, ManifestErrorKind, ManifestPolicy},
    },
    store::GrantStore,
};
use tower_plugin_core::Clock;

use super::{HostError, gaps::NO_WATERMARK};

/// Name of the admission secret in the handshake.
pub const COOKIE_KEY: &str = BootstrapSecret::NAME;
/// The value connect-plugin-go publishes as its default: known to everyone, so it admits everyone.
pub const PUBLIC_COOKIE: &str = "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e";
/// Where a handshake's metadata tells the SHA-256 of the plugin's program, in 64 hexadecimal digits.
pub const ARTIFACT_SHA256: &str = "artifact-sha256";
/// Where it tells how many bytes that has.
pub const ARTIFACT_SIZE: &str = "artifact-size";

/// The rule of admission, until a host is made that keeps to it.
pub struct Door {
    builder: AdmissionBuilder,
    gaps: Vec<&'static str>,
}

/// A manifest, and whom it is believed from.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) path: std::path::PathBuf,
    pub(super) watermark: Option<std::path::PathBuf>,
    pub(super) policy: ManifestPolicy,
}

impl Door {
    /// Admits who meets the rule.
    #[must_use]
    pub fn by(rule: Rule) -> Self {
        Self::from_builder(Admission::builder(rule))
    }

    /// Admits who meets the rule and is in the manifest.
    ///
    /// What a plugin is made of, the host cannot see: it takes the plugin's word for it, beside the rule.
    pub(super) fn by_rule_and_manifest(rule: Rule, listed: Listed) -> Self {
        // Who does not meet the rule learns nothing of the manifest.
        let rule = Rule::AllOf(vec![rule, Rule::Manifest]);
        let builder = Admission::builder(rule)
            .with_manifests(listed.policy.with_insecure_declared_artifacts(true))
            .with_manifest_path(listed.path);
        match listed.watermark {
            Some(path) => Self::from_builder(builder.with_watermark(FileWatermark::new(path))),
            None => Self::from_builder(builder).with_gap(NO_WATERMARK),
        }
    }

    /// As a configuration of the library says.
    #[must_use]
    pub fn from_builder(builder: AdmissionBuilder) -> Self {
        Self {
            builder,
            gaps: Vec::new(),
        }
    }

    /// Notes what it leaves off.
    pub(super) fn with_gap(mut self, gap: &'static str) -> Self {
        self.gaps.push(gap);
        self
    }

    pub(super) fn gaps(&self) -> &[&'static str] {
        &self.gaps
    }

    pub(super) fn with_max_concurrent(mut self, admissions: usize) -> Self {
        self.builder = self.builder.with_max_concurrent(admissions);
        self
    }

    /// Leaves no trace of the manifest that is read.
    pub(super) fn read_only(mut self) -> Self {
        self.builder = self.builder.with_read_only_watermark(true);
        self
    }

    /// Begins to admit, by the manifest at its path if there is one. Who is put in quarantine loses the `grants`.
    ///
    /// # Errors
    ///
    /// [`HostError`] if a setting is out of range, or the manifest is not to be believed.
    pub(super) fn open(
        self,
        clock: Arc<dyn Clock>,
        observe: impl Fn(&AdmissionEvent<'_>) + Send + Sync + 'static,
        grants: impl GrantStore,
    ) -> Result<Admission, HostError> {
        let admission = self
            .builder
            .with_clock(clock)
            .with_observer(observe)
            .with_grant_store(grants)
            .build()?;
        match admission.load_manifest() {
            Ok(_) => Ok(admission),
            Err(error) if error.kind() == ManifestErrorKind::NotInUse => Ok(admission),
            Err(error) => Err(HostError::Manifest(error)),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.builder.fmt(f)
    }
}
