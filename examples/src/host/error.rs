use std::fmt;

use tower_plugin_auth::{InvalidConfig, token::RngError};
use tower_plugin_ratelimit::{InvalidCapacity, InvalidPolicy, redis::InvalidRedisConfig};

/// Why a host could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// A limiter of an impossible size.
    Capacity(InvalidCapacity),
    /// A setting of the tokens out of range.
    Config(InvalidConfig),
    /// An impossible policy.
    Policy(InvalidPolicy),
    /// No randomness for the key that protects the tokens.
    Randomness(RngError),
    /// A setting of Redis out of range.
    Redis(InvalidRedisConfig),
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

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Policy(error) => error.fmt(f),
            Self::Randomness(error) => error.fmt(f),
            Self::Redis(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HostError {}
