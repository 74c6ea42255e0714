//! What the plugin says of itself to be let in.

use std::{fs, io, path::Path};

use serde_json::{Value, json};
use tower_plugin_auth::admission::Artifact;
use tower_plugin_examples::host::admission::{ARTIFACT_SHA256, ARTIFACT_SIZE, COOKIE_KEY};

/// A plugin in front of the door.
pub(crate) struct Applicant {
    name: String,
    secret: String,
    artifact: Option<Artifact>,
}

impl Applicant {
    /// By the secret alone, under the name of `demo`.
    pub(crate) fn new(secret: String) -> Self {
        Self {
            name: "demo".to_owned(),
            secret,
            artifact: None,
        }
    }

    /// By what is in this file as well, and under its name, as manifests list it.
    pub(crate) fn made_of(mut self, file: &Path) -> io::Result<Self> {
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        self.name = stem
            .ok_or_else(|| io::Error::other("has no name that can be written down"))?
            .to_owned();
        self.artifact = Some(Artifact::of(&fs::read(file)?));
        Ok(self)
    }

    /// The same with another secret.
    pub(crate) fn with_wrong_secret(&self) -> Self {
        Self {
            name: self.name.clone(),
            secret: "not-the-secret-of-this-host".to_owned(),
            artifact: self.artifact,
        }
    }

    /// The same with one bit of it changed, if it says what it is made of.
    pub(crate) fn tampered(&self) -> Option<Self> {
        let artifact = self.artifact?;
        let mut sha256 = *artifact.sha256();
        sha256[0] ^= 1;
        Some(Self {
            name: self.name.clone(),
            secret: self.secret.clone(),
            artifact: Some(Artifact::declared(sha256, artifact.size())),
        })
    }

    /// What it calls itself.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn handshake(&self) -> Value {
        let metadata = match &self.artifact {
            Some(artifact) => {
                let digits = artifact.sha256().iter();
                let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
                json!({ ARTIFACT_SHA256: digits, ARTIFACT_SIZE: artifact.size().to_string() })
            }
            None => json!({}),
        };
        json!({
            "coreProtocolVersion": 1,
            "appProtocolVersion": 1,
            "magicCookieKey": COOKIE_KEY,
            "magicCookieValue": self.secret,
            "selfId": self.name,
            "selfVersion": "1.0.0",
            "clientMetadata": metadata,
        })
    }
}
