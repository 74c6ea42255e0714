use std::{error::Error, fmt, io};

use super::sealed::InvalidFile;
use crate::{config::InvalidConfig, file::Denied, store::StoreError, token::RngError};

/// A store's file could not be opened, made or written.
#[derive(Debug)]
pub struct FileError {
    kind: FileErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// There is one where one was to be made.
    AlreadyExists,
    /// A setting is outside its range.
    Config(InvalidConfig),
    /// Others than its owner may read or write it, its owner is another user, or it is no regular file.
    Exposed,
    /// Somebody else has it open.
    InUse,
    /// It is not a file of this store under one of these keys, or not unchanged.
    Invalid(InvalidFile),
    /// The plaintext to be imported is not what it should be.
    InvalidJson,
    /// The operating system says so.
    Io,
    /// There is none, though the anchor may say that there was.
    NotFound,
    /// There is no randomness to be had.
    Rng,
    /// It is older than the last one written: somebody has put it back.
    RolledBack,
}

impl FileError {
    pub(super) fn new(kind: FileErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn with_source(
        kind: FileErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FileErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => FileErrorKind::AlreadyExists,
            _ => FileErrorKind::Io,
        };
        Self::with_source(kind, error)
    }
}

impl From<Denied> for FileError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Exposed => Self::new(FileErrorKind::Exposed),
            Denied::InUse => Self::new(FileErrorKind::InUse),
            Denied::Io(error) => error.into(),
        }
    }
}

impl From<InvalidFile> for FileError {
    fn from(invalid: InvalidFile) -> Self {
        Self::new(FileErrorKind::Invalid(invalid))
    }
}

impl From<InvalidConfig> for FileError {
    fn from(invalid: InvalidConfig) -> Self {
        Self::new(FileErrorKind::Config(invalid))
    }
}

impl From<RngError> for FileError {
    fn from(error: RngError) -> Self {
        Self::with_source(FileErrorKind::Rng, error)
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        Self::unavailable(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FileErrorKind::AlreadyExists => "token file exists already",
            FileErrorKind::Config(invalid) => return invalid.fmt(f),
            FileErrorKind::Exposed => {
                "token file must be a regular file of this user that nobody else may read or write"
            }
            FileErrorKind::InUse => "token file is open elsewhere",
            FileErrorKind::Invalid(invalid) => return invalid.fmt(f),
            FileErrorKind::InvalidJson => "tokens to be imported are not of the documented form",
            FileErrorKind::Io => "token file could not be read or written",
            FileErrorKind::NotFound => "token file does not exist",
            FileErrorKind::Rng => "randomness is unavailable",
            FileErrorKind::RolledBack => "token file is older than it should be",
        })
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
