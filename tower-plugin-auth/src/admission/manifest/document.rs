//! Engine: a manifest, before and after it is believed.

use serde_json::Value;

use super::{
    ManifestError, ManifestErrorKind, ManifestLimits, PluginEntry, Timestamp, TrustedKeys,
    canonical,
    fields::{WORDS, is_words, text, time},
    keys::Block,
    structure::check_together,
    wire,
};

/// A manifest that is sound, and may say anything: nobody has looked at its signature.
#[derive(Clone, Debug)]
pub struct Manifest {
    generated_at: Timestamp,
    generated_by: Box<str>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    plugins: Vec<PluginEntry>,
    signature: Option<Block>,
    pub(super) signed_bytes: Vec<u8>,
}

/// A manifest signed under a key the host trusts.
#[derive(Clone, Debug)]
pub struct VerifiedManifest(Manifest);

impl Manifest {
    /// Reads a manifest. Whatever the bytes are, this returns, and takes memory in proportion to the limits.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] names the first thing that is wrong, and the plugin it was found at.
    pub fn parse(json: &[u8], limits: &ManifestLimits) -> Result<Self, ManifestError> {
        if json.len() > limits.max_bytes {
            return Err(ManifestErrorKind::TooLarge.into());
        }
        // First, and strictly: what has unknown or repeated members is not signed by anybody's lights.
        let document: wire::Document =
            serde_json::from_slice(json).map_err(|error| ManifestError::json(&error))?;
        let value: Value =
            serde_json::from_slice(json).map_err(|error| ManifestError::json(&error))?;
        let signed_bytes = canonical::signed_bytes(&value).ok_or_else(malformed)?;
        Self::read(document, signed_bytes, limits)
    }

    fn read(
        document: wire::Document,
        signed_bytes: Vec<u8>,
        limits: &ManifestLimits,
    ) -> Result<Self, ManifestError> {
        let missing = ManifestError::missing;
        let version = document
            .manifest_version
            .ok_or_else(|| missing("manifest_version"))?;
        if version != VERSION {
            return Err(ManifestErrorKind::UnsupportedVersion.into());
        }
        let generated_at =
            time("generated_at", document.generated_at)?.ok_or_else(|| missing("generated_at"))?;
        let generated_by = text("generated_by", document.generated_by, WORDS, is_words)?;
        let not_before = time("not_before", document.not_before)?;
        let not_after = time("not_after", document.not_after)?;
        if not_before
            .zip(not_after)
            .is_some_and(|(from, to)| from > to)
        {
            return Err(ManifestError::invalid("not_after", "not before not_before"));
        }
        if document.plugins.is_empty() {
            return Err(ManifestErrorKind::NoPlugins.into());
        }
        if document.plugins.len() > limits.max_plugins {
            return Err(ManifestErrorKind::TooManyPlugins.into());
        }
        let plugins = document
            .plugins
            .into_iter()
            .enumerate()
            .map(|(index, plugin)| limits.read(index, plugin))
            .collect::<Result<Vec<_>, _>>()?;
        check_together(&plugins, generated_at)?;
        Ok(Self {
            generated_at,
            generated_by,
            not_before,
            not_after,
            plugins,
            signature: document.signature.map(Block::read).transpose()?,
            signed_bytes,
        })
    }

    /// Believes it if one of these keys has signed it.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if it is not signed, under none of these keys, or was changed.
    pub fn verify(self, keys: &TrustedKeys) -> Result<VerifiedManifest, ManifestError> {
        let block = self.signature.as_ref().ok_or(ManifestErrorKind::Unsigned)?;
        keys.verify(&self.signed_bytes, block)?;
        Ok(VerifiedManifest(self))
    }

    /// When it was made. Of two manifests the later one counts.
    #[must_use]
    pub fn generated_at(&self) -> Timestamp {
        self.generated_at
    }

    /// By what it was made.
    #[must_use]
    pub fn generated_by(&self) -> &str {
        &self.generated_by
    }

    /// From when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// Until when it is valid, this instant included.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// What it lists.
    pub fn plugins(&self) -> &[PluginEntry] {
        &self.plugins
    }

    /// The key it says to be signed under.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.signature.as_ref().map(|block| &*block.key_id)
    }

    /// The bytes that are signed; the [module](super) says how they are made.
    #[must_use]
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed_bytes
    }
}

impl VerifiedManifest {
    /// What it says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0
    }
}

fn malformed() -> ManifestError {
    ManifestErrorKind::Malformed { line: 1, column: 1 }.into()
}

pub(super) const VERSION: &str = "1.0";
