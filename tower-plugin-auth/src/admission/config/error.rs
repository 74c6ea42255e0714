use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::config::InvalidConfig;

/// A configuration from which nothing was built.
#[derive(Debug)]
pub struct ConfigError {
    field: &'static str,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    File(PathBuf, io::Error),
    Invalid(InvalidConfig),
}

impl ConfigError {
    pub(super) fn file(field: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            field,
            cause: Cause::File(path.to_owned(), source),
        }
    }

    /// Which setting.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl From<InvalidConfig> for ConfigError {
    fn from(invalid: InvalidConfig) -> Self {
        Self {
            field: invalid.field(),
            cause: Cause::Invalid(invalid),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::File(path, _) => write!(f, "{}: {path:?} could not be read", self.field),
            Cause::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::File(_, source) => Some(source),
            Cause::Invalid(_) => None,
        }
    }
}
