//! Engine: what is wrong with a manifest.

use std::{error::Error, fmt, io};

use crate::config::InvalidConfig;

/// A manifest that is not believed.
#[derive(Debug)]
pub struct ManifestError {
    kind: ManifestErrorKind,
    plugin: Option<usize>,
    source: Option<io::Error>,
}

/// Why not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ManifestErrorKind {
    /// Not what the holder of the key has signed.
    BadSignature,
    /// Plugins depend on each other in a circle: none could be the first.
    DependencyCycle,
    /// Two plugins have the same file name, but for upper and lower case.
    DuplicateFilename,
    /// Two plugins have the same name and version.
    DuplicatePlugin,
    /// Its `not_after` has passed.
    Expired,
    /// It was generated more than 5 minutes ahead of this machine's clock.
    FromTheFuture,
    /// A field is outside its range.
    InvalidField(InvalidConfig),
    /// Its file could not be read.
    Io,
    /// Not JSON, a field of another type, twice or of an unknown name.
    Malformed {
        /// The line on which that was noticed, counted from 1.
        line: usize,
        /// And the column.
        column: usize,
    },
    /// A field is missing.
    MissingField(&'static str),
    /// It lists none.
    NoPlugins,
    /// No rule asks for a manifest, or no path was set to load it from.
    NotInUse,
    /// Its `not_before` is to come.
    NotYetValid,
    /// There was a later one, or another one of the same instant.
    RolledBack,
    /// More bytes than a manifest may have.
    TooLarge,
    /// More plugins than a manifest may list.
    TooManyPlugins,
    /// A plugin depends on one that is not listed, or on itself.
    UnknownDependency,
    /// It names a key that the host does not trust.
    UnknownKey,
    /// Nobody has signed it.
    Unsigned,
    /// Signed by other means than Ed25519.
    UnsupportedAlgorithm,
    /// Of another `manifest_version` than 1.0.
    UnsupportedVersion,
    /// What was seen last could not be looked up or written down.
    Watermark,
}

impl ManifestError {
    pub(in crate::admission) fn io(source: io::Error) -> Self {
        Self {
            source: Some(source),
            ..ManifestErrorKind::Io.into()
        }
    }

    pub(in crate::admission) fn watermark(source: io::Error) -> Self {
        Self {
            source: Some(source),
            ..ManifestErrorKind::Watermark.into()
        }
    }

    /// What serde complains of may repeat what it has read: it is left out.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        ManifestErrorKind::Malformed { line, column }.into()
    }

    pub(super) fn missing(field: &'static str) -> Self {
        ManifestErrorKind::MissingField(field).into()
    }

    pub(super) fn invalid(field: &'static str, allowed: &'static str) -> Self {
        ManifestErrorKind::InvalidField(InvalidConfig::new(field, allowed)).into()
    }

    pub(super) fn of_plugin(mut self, index: usize) -> Self {
        self.plugin = Some(index);
        self
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> ManifestErrorKind {
        self.kind
    }

    /// Which plugin is to blame, counted from 0.
    #[must_use]
    pub fn plugin(&self) -> Option<usize> {
        self.plugin
    }
}

impl From<ManifestErrorKind> for ManifestError {
    fn from(kind: ManifestErrorKind) -> Self {
        Self {
            kind,
            plugin: None,
            source: None,
        }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("manifest: ")?;
        if let Some(index) = self.plugin {
            write!(f, "plugins[{index}]: ")?;
        }
        f.write_str(match self.kind {
            ManifestErrorKind::BadSignature => "signature is wrong",
            ManifestErrorKind::DependencyCycle => "dependencies form a circle",
            ManifestErrorKind::DuplicateFilename => "filename is listed twice",
            ManifestErrorKind::DuplicatePlugin => "name and version are listed twice",
            ManifestErrorKind::Expired => "not_after has passed",
            ManifestErrorKind::FromTheFuture => "generated_at is in the future",
            ManifestErrorKind::InvalidField(invalid) => return invalid.fmt(f),
            ManifestErrorKind::Io => "file could not be read",
            ManifestErrorKind::Malformed { line, column } => {
                return write!(f, "malformed at line {line}, column {column}");
            }
            ManifestErrorKind::MissingField(field) => return write!(f, "{field} is missing"),
            ManifestErrorKind::NoPlugins => "no plugins are listed",
            ManifestErrorKind::NotInUse => "none is asked for",
            ManifestErrorKind::NotYetValid => "not_before is to come",
            ManifestErrorKind::RolledBack => "a later one was seen",
            ManifestErrorKind::TooLarge => "too many bytes",
            ManifestErrorKind::TooManyPlugins => "too many plugins",
            ManifestErrorKind::UnknownDependency => "a dependency is not listed",
            ManifestErrorKind::UnknownKey => "signed under a key that is not trusted",
            ManifestErrorKind::Unsigned => "not signed",
            ManifestErrorKind::UnsupportedAlgorithm => "signature algorithm must be ed25519",
            ManifestErrorKind::UnsupportedVersion => "manifest_version must be 1.0",
            ManifestErrorKind::Watermark => "what was seen last is not known",
        })
    }
}

impl Error for ManifestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(source)
    }
}
