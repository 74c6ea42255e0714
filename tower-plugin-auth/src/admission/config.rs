use std::{collections::BTreeMap, path::PathBuf};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;

use self::rule::RuleConfig;
use super::{
    Admission, AdmissionBuilder, BootstrapSecret, Peers, files,
    manifest::{FileWatermark, ManifestLimits, ManifestPolicy, TrustedKeys},
};
use crate::config::InvalidConfig;

mod error;
mod rule;

pub use error::ConfigError;

/// The settings of [`Admission`] as a configuration file has them.
///
/// A name that is not listed here is an error, and so is a setting that would mean nothing beside the others: none
/// is ever ignored.
///
/// Name | What | Default
/// ---|---|---
/// `require_manifest` | only plugins of the manifest are admitted, whatever else `rule` asks for | `true`
/// `rule` | `"secret"`, `"peer"`, `"manifest"`, `"closed"`, `"open"`, `{all_of: [..]}`, `{any_of: [..]}` | `"manifest"`
/// `manifest_path` | the file that [`Admission::load_manifest`] reads |
/// `manifest_watermark_path` | the file that remembers the last manifest across restarts: one for each process | memory
/// `trusted_keys` | key id and public key: 32 bytes in base64 | none
/// `trusted_authors` | whose plugins are admitted | none
/// `allow_untrusted` | plugins of all authors are admitted, if signed for | `false`
/// `accept_declared_artifacts` | a caller's word counts for the digest of its program | `false`
/// `require_reproducible` | only plugins said to be built reproducibly are admitted | `false`
/// `allowed_environments` | only plugins built for one of these are admitted | all
/// `max_concurrent_admissions` | 1 to 1024 | 3
/// `max_quarantined` | 1 to 1,000,000 | 10,000
/// `max_manifest_bytes` | 1 KiB to 16 MiB | 1 MiB
/// `max_manifest_plugins` | 1 to 10,000 | 1000
/// `max_artifact_bytes` | 1 byte to 1 TiB | 50 MiB
/// `bootstrap_secret_file` | a regular file of at most 4096 bytes that is the user's of the host and that nobody else may read, with the secret on one line; the secret itself has no place here |
/// `bootstrap_secret_name` | the name it is sent under | `CONNECT_PLUGIN`
/// `allowed_peers` | `kind`, `subject` and, to allow one name only, `self_id` | none
/// `allowed_thumbprints` | SHA-256 of certificates in base64url, as in `x5t#S256` | none
///
/// There is no `max_plugin_memory`: a host cannot measure the memory of a program that runs elsewhere. Let its
/// launcher bound it.
///
/// ```
/// use tower_plugin_auth::admission::AdmissionConfig;
///
/// let config: AdmissionConfig = serde_json::from_str(r#"{
///     "manifest_path": "plugins/manifest.json",
///     "trusted_authors": ["our-team"],
///     "trusted_keys": {"release-2026": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
/// }"#)?;
/// let admission = config.builder()?.build()?;
/// assert!(!admission.is_open());
/// assert!(serde_json::from_str::<AdmissionConfig>(r#"{"max_plugin_memory": "100MB"}"#).is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionConfig {
    require_manifest: bool,
    rule: Option<RuleConfig>,
    manifest_path: Option<PathBuf>,
    manifest_watermark_path: Option<PathBuf>,
    trusted_keys: BTreeMap<String, String>,
    trusted_authors: Vec<String>,
    allow_untrusted: bool,
    accept_declared_artifacts: bool,
    require_reproducible: bool,
    allowed_environments: Vec<String>,
    max_concurrent_admissions: usize,
    max_quarantined: usize,
    max_manifest_bytes: Option<usize>,
    max_manifest_plugins: Option<usize>,
    max_artifact_bytes: Option<u64>,
    bootstrap_secret_file: Option<PathBuf>,
    bootstrap_secret_name: Option<String>,
    allowed_peers: Vec<PeerConfig>,
    allowed_thumbprints: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerConfig {
    kind: String,
    subject: String,
    self_id: Option<String>,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self {
            require_manifest: true,
            rule: None,
            manifest_path: None,
            manifest_watermark_path: None,
            trusted_keys: BTreeMap::new(),
            trusted_authors: Vec::new(),
            allow_untrusted: false,
            accept_declared_artifacts: false,
            require_reproducible: false,
            allowed_environments: Vec::new(),
            max_concurrent_admissions: 3,
            max_quarantined: 10_000,
            max_manifest_bytes: None,
            max_manifest_plugins: None,
            max_artifact_bytes: None,
            bootstrap_secret_file: None,
            bootstrap_secret_name: None,
            allowed_peers: Vec::new(),
            allowed_thumbprints: Vec::new(),
        }
    }
}

impl AdmissionConfig {
    /// Reads the secret, if one is named, and hands over what was set. The rest of the checks are
    /// [`AdmissionBuilder::build`]'s; no manifest is loaded yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names a setting that is not what it should be, and the file if it is that.
    pub fn builder(&self) -> Result<AdmissionBuilder, ConfigError> {
        let rule = self.rule()?;
        self.check_use(&rule)?;
        let asks_for_manifest = rule.asks_for(&|rule| matches!(rule, RuleConfig::Manifest));
        let rule = rule.build(self.secret()?.as_ref(), &self.peers()?);
        let mut builder = Admission::builder(rule)
            .with_max_concurrent(self.max_concurrent_admissions)
            .with_max_quarantined(self.max_quarantined);
        if asks_for_manifest {
            builder = builder.with_manifests(self.policy()?);
        }
        if let Some(path) = &self.manifest_path {
            builder = builder.with_manifest_path(path);
        }
        if let Some(path) = &self.manifest_watermark_path {
            builder = builder.with_watermark(FileWatermark::new(path));
        }
        Ok(builder)
    }

    /// What it takes to be admitted, the manifest included if it is required.
    fn rule(&self) -> Result<RuleConfig, InvalidConfig> {
        match (&self.rule, self.require_manifest) {
            (None, true) => Ok(RuleConfig::Manifest),
            (None, false) => Err(InvalidConfig::new(
                "rule",
                "set where require_manifest is false",
            )),
            (Some(RuleConfig::Open), true) => Err(InvalidConfig::new(
                "require_manifest",
                "false where the rule is open",
            )),
            (Some(rule), true) => Ok(RuleConfig::AllOf(vec![RuleConfig::Manifest, rule.clone()])),
            (Some(rule), false) => Ok(rule.clone()),
        }
    }

    /// Refuses what would be read and never looked at.
    fn check_use(&self, rule: &RuleConfig) -> Result<(), InvalidConfig> {
        let asks_for = |is_it: fn(&RuleConfig) -> bool| rule.asks_for(&is_it);
        let secret = asks_for(|rule| matches!(rule, RuleConfig::Secret));
        let peer = asks_for(|rule| matches!(rule, RuleConfig::Peer));
        let manifest = asks_for(|rule| matches!(rule, RuleConfig::Manifest));
        for (field, is_set, is_asked_for, allowed) in [
            (
                "bootstrap_secret_file",
                self.bootstrap_secret_file.is_some(),
                secret,
                "set if and only if the rule asks for a secret",
            ),
            (
                "allowed_peers",
                !self.allowed_peers.is_empty() || !self.allowed_thumbprints.is_empty(),
                peer,
                "set, or allowed_thumbprints, if and only if the rule asks for a peer",
            ),
        ] {
            if is_set != is_asked_for {
                return Err(InvalidConfig::new(field, allowed));
            }
        }
        if self.bootstrap_secret_name.is_some() && !secret {
            return Err(InvalidConfig::new(
                "bootstrap_secret_name",
                "set only beside bootstrap_secret_file",
            ));
        }
        for (field, is_set) in [
            ("manifest_path", self.manifest_path.is_some()),
            (
                "manifest_watermark_path",
                self.manifest_watermark_path.is_some(),
            ),
            ("trusted_keys", !self.trusted_keys.is_empty()),
            ("trusted_authors", !self.trusted_authors.is_empty()),
            ("allow_untrusted", self.allow_untrusted),
            ("accept_declared_artifacts", self.accept_declared_artifacts),
            ("require_reproducible", self.require_reproducible),
            (
                "allowed_environments",
                !self.allowed_environments.is_empty(),
            ),
            ("max_manifest_bytes", self.max_manifest_bytes.is_some()),
            ("max_manifest_plugins", self.max_manifest_plugins.is_some()),
            ("max_artifact_bytes", self.max_artifact_bytes.is_some()),
        ] {
            if is_set && !manifest {
                return Err(InvalidConfig::new(
                    field,
                    "set only where a manifest is asked for",
                ));
            }
        }
        Ok(())
    }

    fn secret(&self) -> Result<Option<BootstrapSecret>, ConfigError> {
        let Some(path) = &self.bootstrap_secret_file else {
            return Ok(None);
        };
        let value = files::read_secret(path)
            .map_err(|source| ConfigError::file("bootstrap_secret_file", path, source))?;
        let name = self.bootstrap_secret_name.as_deref();
        let secret = BootstrapSecret::named(name.unwrap_or(BootstrapSecret::NAME), &value)?;
        Ok(Some(secret))
    }

    fn peers(&self) -> Result<Peers, InvalidConfig> {
        let mut peers = Peers::new();
        for PeerConfig {
            kind,
            subject,
            self_id,
        } in &self.allowed_peers
        {
            peers = match self_id {
                None => peers.with_peer(kind, subject),
                Some(name) => {
                    let name = name.parse().map_err(|_| {
                        InvalidConfig::new("allowed_peers", "of a self_id that plugins may have")
                    })?;
                    peers.with_peer_as(kind, subject, &name)
                }
            };
        }
        for thumbprint in &self.allowed_thumbprints {
            let sha256 = URL_SAFE_NO_PAD.decode(thumbprint).ok();
            let sha256 = sha256.and_then(|bytes| bytes.try_into().ok());
            peers = peers.with_thumbprint(sha256.ok_or(InvalidConfig::new(
                "allowed_thumbprints",
                "32 bytes each in base64url without padding",
            ))?);
        }
        Ok(peers)
    }

    fn policy(&self) -> Result<ManifestPolicy, InvalidConfig> {
        let mut keys = TrustedKeys::new();
        for (id, key) in &self.trusted_keys {
            let key = STANDARD.decode(key).ok();
            let key = key.and_then(|bytes| bytes.try_into().ok());
            let key = key.ok_or(InvalidConfig::new(
                "trusted_keys",
                "32 bytes each in base64",
            ))?;
            keys = keys.with_key(id, &key)?;
        }
        let limits = ManifestLimits::new()
            .with_max_bytes(self.max_manifest_bytes.unwrap_or(1 << 20))
            .with_max_plugins(self.max_manifest_plugins.unwrap_or(1000))
            .with_max_artifact_bytes(self.max_artifact_bytes.unwrap_or(50 << 20));
        let policy = ManifestPolicy::new(keys)
            .with_insecure_untrusted_authors(self.allow_untrusted)
            .with_insecure_declared_artifacts(self.accept_declared_artifacts)
            .with_reproducible(self.require_reproducible)
            .with_limits(limits);
        let authors = self.trusted_authors.iter().map(String::as_str);
        let policy = authors.fold(policy, ManifestPolicy::with_trusted_author);
        let environments = self.allowed_environments.iter().map(String::as_str);
        Ok(environments.fold(policy, ManifestPolicy::with_environment))
    }
}

#[cfg(test)]
mod tests;
