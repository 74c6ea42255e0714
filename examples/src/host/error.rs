use std::fmt;

use tower_plugin_auth::{
    InvalidConfig,
    admission::manifest::ManifestError,
    audit::FileSinkError,
    authorize::InvalidPermission,
    token::{RngError, SelfId},
};
use tower_plugin_ratelimit::{
    InvalidCapacity, InvalidPolicy, concurrency::InvalidConcurrency, redis::InvalidRedisConfig,
};
use tower_plugin_validate::{InvalidRoute, format::InvalidHosts, limits::InvalidLimit};

/// Why a host could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// An audit log that cannot be continued.
    Audit(FileSinkError),
    /// A limiter of an impossible size.
    Capacity(InvalidCapacity),
    /// An impossible limit of what may be under way.
    Concurrency(InvalidConcurrency),
    /// A setting of the tokens out of range.
    Config(InvalidConfig),
    /// Two `--managed` of one name.
    ManagedTwice(SelfId),
    /// A manifest that is not to be believed.
    Manifest(ManifestError),
    /// A capability that permits something impossible.
    Permission(InvalidPermission),
    /// An impossible limit of requests.
    Limit(InvalidLimit),
    /// A `--provider-host` that is none.
    ProviderHost(InvalidHosts),
    /// Two `--provider` of one name.
    ProviderTwice(SelfId),
    /// Keys that make no ring.
    Keys,
    /// An impossible policy.
    Policy(InvalidPolicy),
    /// No randomness for the key that protects the tokens.
    Randomness(RngError),
    /// A setting of Redis out of range.
    Redis(InvalidRedisConfig),
    /// An impossible route.
    Route(InvalidRoute),
}

impl From<InvalidCapacity> for HostError {
    fn from(error: InvalidCapacity) -> Self {
        Self::Capacity(error)
    }
}

impl From<InvalidConfig> for HostError {
    fn from(error: InvalidConfig) -> Self {
        Self::Config(error)
    }
}

impl From<InvalidPolicy> for HostError {
    fn from(error: InvalidPolicy) -> Self {
        Self::Policy(error)
    }
}

impl From<InvalidPermission> for HostError {
    fn from(error: InvalidPermission) -> Self {
        Self::Permission(error)
    }
}

impl From<InvalidRedisConfig> for HostError {
    fn from(error: InvalidRedisConfig) -> Self {
        Self::Redis(error)
    }
}

impl From<RngError> for HostError {
    fn from(error: RngError) -> Self {
        Self::Randomness(error)
    }
}

impl From<InvalidConcurrency> for HostError {
    fn from(error: InvalidConcurrency) -> Self {
        Self::Concurrency(error)
    }
}

impl From<InvalidLimit> for HostError {
    fn from(error: InvalidLimit) -> Self {
        Self::Limit(error)
    }
}

impl From<InvalidHosts> for HostError {
    fn from(error: InvalidHosts) -> Self {
        Self::ProviderHost(error)
    }
}

impl From<InvalidRoute> for HostError {
    fn from(error: InvalidRoute) -> Self {
        Self::Route(error)
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audit(error) => {
                write!(f, "--audit-file: {error}")?;
                match std::error::Error::source(error) {
                    Some(cause) => write!(f, ": {cause}"),
                    None => Ok(()),
                }
            }
            Self::Capacity(error) => error.fmt(f),
            Self::Concurrency(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Keys => f.write_str("the keys of the tokens make no ring"),
            Self::Limit(error) => error.fmt(f),
            Self::ManagedTwice(name) => {
                write!(f, "--managed: {name} is at one place, and there are two")
            }
            Self::Manifest(error) => write!(f, "--manifest: {error}"),
            Self::Permission(error) => error.fmt(f),
            Self::Policy(error) => error.fmt(f),
            Self::Randomness(error) => error.fmt(f),
            Self::ProviderHost(error) => write!(f, "--provider-host: {error}"),
            Self::ProviderTwice(name) => {
                write!(f, "--provider: {name} is at one place, and there are two")
            }
            Self::Redis(error) => error.fmt(f),
            Self::Route(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HostError {}
