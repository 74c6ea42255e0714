//! Engine: making and signing manifests.

use super::{
    Manifest, ManifestError, ManifestErrorKind, ManifestKey, ManifestLimits, PluginEntry,
    Timestamp, document::VERSION, wire,
};

/// Writes manifests. They are nobody's word until they are [signed](sign).
#[derive(Clone, Debug)]
#[must_use]
pub struct ManifestBuilder {
    generated_at: Timestamp,
    generated_by: Box<str>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    plugins: Vec<PluginEntry>,
}

impl ManifestBuilder {
    /// A manifest of nothing yet.
    pub fn new(generated_at: Timestamp, generated_by: &str) -> Self {
        Self {
            generated_at,
            generated_by: generated_by.into(),
            not_before: None,
            not_after: None,
            plugins: Vec::new(),
        }
    }

    /// Lets it be valid no sooner.
    pub fn with_not_before(mut self, instant: Timestamp) -> Self {
        self.not_before = Some(instant);
        self
    }

    /// Lets it be valid no longer.
    pub fn with_not_after(mut self, instant: Timestamp) -> Self {
        self.not_after = Some(instant);
        self
    }

    /// Lists a plugin.
    pub fn with_plugin(mut self, plugin: PluginEntry) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// The JSON, in lines.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if a host with these limits would not read it.
    pub fn to_json(&self, limits: &ManifestLimits) -> Result<Vec<u8>, ManifestError> {
        let document = wire::Document {
            manifest_version: Some(VERSION.to_owned()),
            generated_at: Some(self.generated_at.to_string()),
            generated_by: Some(self.generated_by.to_string()),
            not_before: self.not_before.map(|time| time.to_string()),
            not_after: self.not_after.map(|time| time.to_string()),
            plugins: self.plugins.iter().map(PluginEntry::write).collect(),
            signature: None,
        };
        write(&document, limits)
    }
}

/// Signs a manifest, whether it was signed before or not, and writes it in lines.
///
/// # Errors
///
/// [`ManifestError`] if it is not sound, or `key_id` is none.
pub fn sign(
    json: &[u8],
    key_id: &str,
    key: &ManifestKey,
    limits: &ManifestLimits,
) -> Result<Vec<u8>, ManifestError> {
    if json.len() > limits.max_bytes {
        return Err(ManifestErrorKind::TooLarge.into());
    }
    let mut document: wire::Document =
        serde_json::from_slice(json).map_err(|error| ManifestError::json(&error))?;
    // Whoever signed it before signed something else, if only by its white space.
    document.signature = None;
    let unsigned = Manifest::parse(&write(&document, limits)?, limits)?;
    document.signature = Some(key.sign(key_id, &unsigned.signed_bytes)?);
    write(&document, limits)
}

fn write(document: &wire::Document, limits: &ManifestLimits) -> Result<Vec<u8>, ManifestError> {
    let mut json =
        serde_json::to_vec_pretty(document).map_err(|error| ManifestError::json(&error))?;
    json.push(b'\n');
    Manifest::parse(&json, limits)?;
    Ok(json)
}
