use std::{error::Error, fmt};

use crate::{
    grant::DenialReason,
    store::{InsertGrantError, StoreError},
    token::RngError,
};

/// A grant was not issued, and nothing of it was kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// The random id was taken. Two such in a lifetime mean a broken source of randomness.
    AlreadyExists,
    /// The policy says no, or the principal is [barred](super::CapabilityBrokerBuilder::with_barred).
    Denied,
    /// As many live grants as the store may hold.
    Full,
    /// As many live grants as this principal may have.
    FullForPrincipal,
    /// The lifetime asked for is below the floor, or longer than the capability's grants live.
    InvalidTtl,
    /// There is this capability, in an older version than is asked for.
    NoSuchVersion,
    /// There is no randomness to be had.
    Rng(RngError),
    /// The principal, the reason or the scope is described at too great length.
    TooLarge,
    /// The store could not be asked.
    Unavailable(StoreError),
    /// There is no such capability.
    UnknownCapability,
}

impl From<InsertGrantError> for RequestError {
    fn from(error: InsertGrantError) -> Self {
        match error {
            InsertGrantError::AlreadyExists => Self::AlreadyExists,
            InsertGrantError::Full => Self::Full,
            InsertGrantError::FullForPrincipal => Self::FullForPrincipal,
            InsertGrantError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists => f.write_str("grant id already exists"),
            Self::Denied => f.write_str("policy does not permit the grant"),
            Self::Full => f.write_str("grant store is full"),
            Self::FullForPrincipal => f.write_str("principal has as many grants as it may"),
            Self::InvalidTtl => {
                f.write_str("ttl must be between the configured floor and that of the capability")
            }
            Self::NoSuchVersion => f.write_str("capability has an older version"),
            Self::Rng(error) => error.fmt(f),
            Self::TooLarge => f.write_str(
                "principal must have at most 64 attributes and 16 KiB, the reason 1024 bytes, \
                 the scope 16 parts of 512 bytes",
            ),
            Self::Unavailable(error) => error.fmt(f),
            Self::UnknownCapability => f.write_str("capability is unknown"),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rng(error) => error.source(),
            Self::Unavailable(error) => error.source(),
            _ => None,
        }
    }
}

/// A grant did not let a request pass.
///
/// `Display` says the same whatever the reason, so that it may reach a caller. Logs and audit want the
/// [reason](Self::reason).
#[derive(Debug)]
#[non_exhaustive]
pub enum GrantError {
    /// It is not good for this.
    Denied(DenialReason),
    /// Nobody knows: the store could not be asked.
    Unavailable(StoreError),
}

impl GrantError {
    /// Why it does not let the request pass, if that is known.
    #[must_use]
    pub fn reason(&self) -> Option<DenialReason> {
        match self {
            Self::Denied(reason) => Some(*reason),
            Self::Unavailable(_) => None,
        }
    }
}

impl From<DenialReason> for GrantError {
    fn from(reason: DenialReason) -> Self {
        Self::Denied(reason)
    }
}

impl From<StoreError> for GrantError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(_) => f.write_str("invalid grant"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for GrantError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied(_) => None,
            Self::Unavailable(error) => error.source(),
        }
    }
}
