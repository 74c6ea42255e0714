//! Engine: what a manifest says of one plugin.

use super::{
    BuildInfo, ManifestError, ManifestLimits, Timestamp,
    fields::{
        FILENAME, MAX_DEPENDENCIES, SELF_ID, VERSION, WORDS, from_hex, is_filename, is_version,
        is_words, text, time,
    },
    wire,
};
use crate::{
    admission::{Artifact, artifact::Hex},
    token::SelfId,
};

/// What a manifest says of one plugin.
#[derive(Clone, Debug)]
#[must_use]
pub struct PluginEntry {
    name: SelfId,
    version: Box<str>,
    filename: Box<str>,
    sha256: [u8; 32],
    size: u64,
    author: Box<str>,
    dependencies: Vec<SelfId>,
    modified: Option<Timestamp>,
    build_info: Option<BuildInfo>,
}

impl PluginEntry {
    /// Describes a plugin for a manifest that is being made.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if a field is outside its range, as for one that is read; sizes have no cap here.
    pub fn new(
        name: &str,
        version: &str,
        filename: &str,
        artifact: Artifact,
        author: &str,
    ) -> Result<Self, ManifestError> {
        let wire = wire::Plugin {
            name: Some(name.to_owned()),
            version: Some(version.to_owned()),
            filename: Some(filename.to_owned()),
            sha256: Some(Hex(artifact.sha256()).to_string()),
            size: Some(artifact.size()),
            modified: None,
            author: Some(author.to_owned()),
            trusted: None,
            dependencies: None,
            build_info: None,
        };
        Self::read(wire, u64::MAX)
    }

    /// Lists the plugins that have to be there before it.
    pub fn with_dependencies(mut self, names: impl IntoIterator<Item = SelfId>) -> Self {
        self.dependencies = names.into_iter().collect();
        self
    }

    /// Says when its file was changed last.
    pub fn with_modified(mut self, modified: Timestamp) -> Self {
        self.modified = Some(modified);
        self
    }

    /// Says how it was built.
    pub fn with_build_info(mut self, build_info: BuildInfo) -> Self {
        self.build_info = Some(build_info);
        self
    }

    /// What it calls itself.
    #[must_use]
    pub fn name(&self) -> &SelfId {
        &self.name
    }

    /// Which version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name of its file: one segment of a path.
    #[must_use]
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// The digest of its file.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The size of its file in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Who is said to have made it.
    #[must_use]
    pub fn author(&self) -> &str {
        &self.author
    }

    /// The plugins that have to be there before it.
    pub fn dependencies(&self) -> impl Iterator<Item = &SelfId> {
        self.dependencies.iter()
    }

    /// When its file is said to have been changed last.
    #[must_use]
    pub fn modified(&self) -> Option<Timestamp> {
        self.modified
    }

    /// How it is said to have been built.
    #[must_use]
    pub fn build_info(&self) -> Option<&BuildInfo> {
        self.build_info.as_ref()
    }

    pub(super) fn read(wire: wire::Plugin, max_size: u64) -> Result<Self, ManifestError> {
        let missing = ManifestError::missing;
        let name = wire.name.ok_or_else(|| missing("name"))?;
        let name = name
            .parse()
            .map_err(|_| ManifestError::invalid("name", SELF_ID))?;
        let version = text("version", wire.version, VERSION, is_version)?;
        let filename = text("filename", wire.filename, FILENAME, is_filename)?;
        let sha256 = wire.sha256.ok_or_else(|| missing("sha256"))?;
        let sha256 = from_hex(&sha256)
            .ok_or_else(|| ManifestError::invalid("sha256", "64 hexadecimal digits"))?;
        let size = wire.size.ok_or_else(|| missing("size"))?;
        if !(1..=max_size).contains(&size) {
            return Err(ManifestError::invalid(
                "size",
                "above 0 and at most max_artifact_bytes",
            ));
        }
        let author = text("author", wire.author, WORDS, is_words)?;
        let dependencies = wire.dependencies.unwrap_or_default();
        if dependencies.len() > MAX_DEPENDENCIES {
            return Err(ManifestError::invalid("dependencies", "at most 64 names"));
        }
        let dependencies = dependencies
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .map_err(|_| ManifestError::invalid("dependencies", SELF_ID))?;
        Ok(Self {
            name,
            version,
            filename,
            sha256,
            size,
            author,
            dependencies,
            modified: time("modified", wire.modified)?,
            build_info: wire.build_info.map(BuildInfo::read).transpose()?,
        })
    }

    pub(super) fn write(&self) -> wire::Plugin {
        let names = || self.dependencies.iter().map(ToString::to_string).collect();
        wire::Plugin {
            name: Some(self.name.to_string()),
            version: Some(self.version.to_string()),
            filename: Some(self.filename.to_string()),
            sha256: Some(Hex(&self.sha256).to_string()),
            size: Some(self.size),
            modified: self.modified.map(|time| time.to_string()),
            author: Some(self.author.to_string()),
            trusted: Some(false),
            dependencies: Some(names()),
            build_info: self.build_info.as_ref().map(BuildInfo::write),
        }
    }
}

impl ManifestLimits {
    pub(super) fn read(
        &self,
        index: usize,
        wire: wire::Plugin,
    ) -> Result<PluginEntry, ManifestError> {
        PluginEntry::read(wire, self.max_artifact_bytes).map_err(|error| error.of_plugin(index))
    }
}
