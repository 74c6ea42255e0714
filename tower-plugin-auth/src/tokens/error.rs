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
    /// The owner is described at too great length.
    TooLarge,
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
            Self::InvalidTtl => f.write_str(
                "ttl must be between the configured floor, 1 minute by default, and 10 years",
            ),
            Self::Rng(error) => error.fmt(f),
            Self::TooLarge => f.write_str("principal must have at most 63 attributes and 16 KiB"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for IssueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::AlreadyExists | Self::Full | Self::InvalidTtl | Self::TooLarge => None,
            Self::Rng(error) => error.source(),
            Self::Unavailable(error) => error.source(),
        }
    }
}

/// A token was not replaced.
#[derive(Debug)]
#[non_exhaustive]
pub enum RotateError {
    /// It has a successor: each token has one at most.
    AlreadyRotated,
    /// As many live tokens as the store may hold, and for a while there are to be two.
    Full,
    /// It is unknown, expired or revoked.
    NotLive,
    /// It is good for one use, so there is nothing to go on with.
    OneTime,
    /// There is no randomness to be had, or only such as was had before.
    Rng(RngError),
    /// The store could not be asked.
    Unavailable(StoreError),
}

impl From<InsertError> for RotateError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::AlreadyExists => Self::Rng(RngError::new("repeated token id")),
            InsertError::Full => Self::Full,
            InsertError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl From<StoreError> for RotateError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

impl fmt::Display for RotateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRotated => f.write_str("token has been replaced already"),
            Self::Full => f.write_str("token store is full"),
            Self::NotLive => f.write_str("token is not valid"),
            Self::OneTime => f.write_str("one-time tokens cannot be replaced"),
            Self::Rng(error) => error.fmt(f),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for RotateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::AlreadyRotated | Self::Full | Self::NotLive | Self::OneTime => None,
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
