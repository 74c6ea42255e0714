use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use super::verify::Finding;
use crate::{config::InvalidConfig, token::RngError};

/// An audit log could not be opened or read.
#[derive(Debug)]
pub struct FileSinkError {
    kind: FileSinkErrorKind,
    path: Option<PathBuf>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why not.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FileSinkErrorKind {
    /// Somebody has changed it.
    Broken(Finding),
    /// A setting is outside its range.
    Config(InvalidConfig),
    /// Others than its owner may read or write it, it is to be written and is somebody else's, or it is no regular file.
    Exposed,
    /// Somebody else is writing it.
    InUse,
    /// The operating system says so.
    Io,
    /// There is a head, and no log, or the other way round.
    Missing,
    /// There is no randomness to be had.
    Rng,
}

impl FileSinkError {
    pub(super) fn new(kind: FileSinkErrorKind) -> Self {
        Self {
            kind,
            path: None,
            source: None,
        }
    }

    pub(super) fn at(kind: FileSinkErrorKind, path: &Path) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::new(kind)
        }
    }

    pub(super) fn io(error: io::Error, path: &Path) -> Self {
        Self {
            source: Some(error.into()),
            ..Self::at(FileSinkErrorKind::Io, path)
        }
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> &FileSinkErrorKind {
        &self.kind
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl From<InvalidConfig> for FileSinkError {
    fn from(invalid: InvalidConfig) -> Self {
        Self::new(FileSinkErrorKind::Config(invalid))
    }
}

impl From<RngError> for FileSinkError {
    fn from(error: RngError) -> Self {
        Self {
            source: Some(error.into()),
            ..Self::new(FileSinkErrorKind::Rng)
        }
    }
}

impl fmt::Display for FileSinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FileSinkErrorKind::Broken(finding) => {
                return write!(f, "audit log is broken: {finding}");
            }
            FileSinkErrorKind::Config(invalid) => return invalid.fmt(f),
            FileSinkErrorKind::Exposed => f.write_str(
                "audit log must be a regular file of this user that nobody else may read or write",
            ),
            FileSinkErrorKind::InUse => f.write_str("audit log is being written by somebody else"),
            FileSinkErrorKind::Io => f.write_str("audit log could not be read or written"),
            FileSinkErrorKind::Missing => f.write_str("audit log or its head is missing"),
            FileSinkErrorKind::Rng => f.write_str("randomness is unavailable"),
        }?;
        match &self.path {
            Some(path) => write!(f, ": {}", path.display()),
            None => Ok(()),
        }
    }
}

impl Error for FileSinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
