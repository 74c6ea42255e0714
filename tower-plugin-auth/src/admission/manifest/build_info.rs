//! Engine: how a plugin is said to have been built.

use super::{
    ManifestError, Timestamp,
    fields::{optional, time},
    wire,
};

/// How a plugin was built.
#[derive(Clone, Debug)]
#[must_use]
pub struct BuildInfo {
    environment: Option<Box<str>>,
    is_reproducible: bool,
    git_commit: Option<Box<str>>,
    go_version: Option<Box<str>>,
    build_time: Option<Timestamp>,
}

impl BuildInfo {
    /// Built for an environment, e.g. `production`; not reproducibly, as far as anybody says.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if the name is not 1 to 128 visible characters.
    pub fn new(environment: &str) -> Result<Self, ManifestError> {
        Self::read(wire::BuildInfo {
            environment: Some(environment.to_owned()),
            ..wire::BuildInfo::default()
        })
    }

    /// Says whether the same source gives the same bytes.
    pub fn with_reproducible(mut self, is_reproducible: bool) -> Self {
        self.is_reproducible = is_reproducible;
        self
    }

    /// Names the commit it was built from.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if it is not 1 to 128 visible characters.
    pub fn with_git_commit(self, commit: &str) -> Result<Self, ManifestError> {
        let git_commit = optional("build_info.git_commit", Some(commit.to_owned()))?;
        Ok(Self { git_commit, ..self })
    }

    /// The environment it was built for.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Whether the same source is said to give the same bytes.
    #[must_use]
    pub fn is_reproducible(&self) -> bool {
        self.is_reproducible
    }

    /// The commit it was built from.
    #[must_use]
    pub fn git_commit(&self) -> Option<&str> {
        self.git_commit.as_deref()
    }

    pub(super) fn read(wire: wire::BuildInfo) -> Result<Self, ManifestError> {
        Ok(Self {
            environment: optional("build_info.environment", wire.environment)?,
            is_reproducible: wire.reproducible.unwrap_or(false),
            git_commit: optional("build_info.git_commit", wire.git_commit)?,
            go_version: optional("build_info.go_version", wire.go_version)?,
            build_time: time("build_info.build_time", wire.build_time)?,
        })
    }

    pub(super) fn write(&self) -> wire::BuildInfo {
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        wire::BuildInfo {
            go_version: text(&self.go_version),
            git_commit: text(&self.git_commit),
            build_time: self.build_time.map(|time| time.to_string()),
            environment: text(&self.environment),
            reproducible: Some(self.is_reproducible),
        }
    }
}
