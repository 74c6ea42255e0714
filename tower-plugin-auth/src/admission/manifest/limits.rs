//! Engine: how large a manifest may be.

use super::wire;
use crate::config::InvalidConfig;

/// How large a manifest and what it lists may be.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ManifestLimits {
    pub(super) max_bytes: usize,
    pub(super) max_plugins: usize,
    pub(super) max_artifact_bytes: u64,
}

impl ManifestLimits {
    /// 1 MiB of JSON, 1000 plugins, 50 MiB each.
    pub const fn new() -> Self {
        Self {
            max_bytes: 1 << 20,
            max_plugins: 1000,
            max_artifact_bytes: 50 << 20,
        }
    }

    /// How many bytes of JSON: 1 KiB to 16 MiB.
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many plugins: 1 to 10,000.
    pub const fn with_max_plugins(mut self, plugins: usize) -> Self {
        self.max_plugins = plugins;
        self
    }

    /// How many bytes one plugin may have: 1 byte to 1 TiB.
    pub const fn with_max_artifact_bytes(mut self, bytes: u64) -> Self {
        self.max_artifact_bytes = bytes;
        self
    }

    /// How many bytes of JSON.
    #[must_use]
    pub const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// How many bytes one plugin may have: stop reading there.
    #[must_use]
    pub const fn max_artifact_bytes(&self) -> u64 {
        self.max_artifact_bytes
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        let Self {
            max_bytes,
            max_plugins,
            max_artifact_bytes,
        } = self;
        if !(1 << 10..=16 << 20).contains(max_bytes) {
            return Err(InvalidConfig::new(
                "max_manifest_bytes",
                "between 1 KiB and 16 MiB",
            ));
        }
        if !(1..=wire::MAX_PLUGINS).contains(max_plugins) {
            return Err(InvalidConfig::new(
                "max_manifest_plugins",
                "between 1 and 10000",
            ));
        }
        if !(1..=1 << 40).contains(max_artifact_bytes) {
            return Err(InvalidConfig::new(
                "max_artifact_bytes",
                "between 1 byte and 1 TiB",
            ));
        }
        Ok(())
    }
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self::new()
    }
}
