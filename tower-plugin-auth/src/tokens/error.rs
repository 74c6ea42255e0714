use std::{error::Error, fmt};

use crate::{
    store::{InsertError, StoreError},
    token::{InvalidReason, RngError},
};

/// A token was not issued, and nothing of it was kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum IssueError {
    /// The random id was taken. Two such in a lifetime mean a broken source of randomness.
    AlreadyExists,
    /// As many live tokens as the store may hold.
    Full,
    /// The lifetime asked for is outside the range set when the service was built.
    InvalidTtl,
    /// There is no randomness to be had.
    Rng(RngError),
    /// The store could not be asked.
    Unavailable(StoreError),
}

impl From<InsertError> for IssueError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::AlreadyExists => Self::AlreadyExists,
            InsertError::Full => Self::Full,
            InsertError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists => f.write_str("token id already exists"),
            Self::Full => f.write_str("token store is full"),
            Self::InvalidTtl => {
                f.write_str("ttl must be between the configured floor and 10 years")
            }
            Self::Rng(error) => error.fmt(f),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for IssueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::AlreadyExists | Self::Full | Self::InvalidTtl => None,
            Self::Rng(error) => error.source(),
            Self::Unavailable(error) => error.source(),
        }
    }
}

/// A token was not accepted.
///
/// `Display` says the same of every invalid token, so that it may reach a caller. Logs and audit want
/// the [reason](Self::reason).
#[derive(Debug)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is not a live token.
    Invalid(InvalidReason),
    /// Nobody knows: the store could not be asked.
    Unavailable(StoreError),
}

impl VerifyError {
    /// Why the token is invalid, if it is known to be.
    #[must_use]
    pub fn reason(&self) -> Option<InvalidReason> {
        match self {
            Self::Invalid(reason) => Some(*reason),
            Self::Unavailable(_) => None,
        }
    }
}

impl From<InvalidReason> for VerifyError {
    fn from(reason: InvalidReason) -> Self {
        Self::Invalid(reason)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(_) => f.write_str("invalid token"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Unavailable(error) => error.source(),
        }
    }
}
