//! Engine: what is said to the registry, and what it answers.

use std::{fmt, sync::Arc, time::SystemTime};

use semver::Version;
use tower_plugin_auth::token::TokenId;

/// How much the registry holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RegistryLimits {
    /// Offers in all.
    pub registrations: usize,
    /// Offers of one plugin.
    pub per_plugin: usize,
    /// Offers of one service.
    pub per_service: usize,
    /// Plugins with an offer or a health report.
    pub plugins: usize,
}

/// Who a record belongs to, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The authenticated runtime id.
    pub runtime_id: &'a str,
    /// The token it was authenticated by.
    pub token_id: TokenId,
    /// When its token expires.
    pub expires_at: SystemTime,
}

/// What a plugin offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// Kind of service.
    pub service_type: Box<str>,
    /// Version of the service.
    pub version: Version,
    /// Path prefix at the provider.
    pub endpoint_path: Box<str>,
    /// The provider's remarks. Data only: nothing in here is ever dialled.
    pub metadata: Vec<(String, String)>,
}

/// A provider that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Runtime id of the provider.
    pub runtime_id: Arc<str>,
    /// What it offers.
    pub offer: Arc<Offer>,
    /// Whether there was no other to choose.
    pub single: bool,
}

/// How a service is, and who provides it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Overview {
    /// How it is.
    pub availability: Availability,
    /// Who would be the first to be asked: the same one for as long as nothing changes.
    pub provider: Option<(Arc<str>, Arc<Offer>)>,
}

/// How a service is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Availability {
    /// A provider is well, or has not said otherwise.
    Available,
    /// There are providers, and none of them is well.
    Degraded,
    /// There is no provider.
    Unavailable,
}

/// How a plugin said it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// Everything works.
    Healthy,
    /// Works in part.
    Degraded,
    /// Must not be called.
    Unhealthy,
}

/// Which of several equally good providers is found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Selection {
    /// The one that registered first, for as long as it is as good as any.
    First,
    /// One after the other.
    #[default]
    RoundRobin,
    /// By chance: the caller brings the random number.
    Random(u64),
}

/// Why the registry refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The registry or the plugin's share of it is full.
    Full,
    /// The registration id is in use.
    Taken,
    /// There is no such offer, or it is another plugin's.
    UnknownRegistration,
    /// No provider offers the service, or not the one that is asked for.
    UnknownService,
    /// Providers exist, but none of a sufficient version.
    VersionTooLow,
    /// Providers exist, but none is well.
    NoneHealthy,
}

impl Refusal {
    // The first reason found is the one told.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::UnknownService {
            other
        } else {
            self
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room for another registration",
            Self::Taken => "registration id is in use",
            Self::UnknownRegistration => "registration not found",
            Self::UnknownService => "no provider of this service",
            Self::VersionTooLow => "no provider of this service in a sufficient version",
            Self::NoneHealthy => "no healthy provider of this service",
        })
    }
}

impl std::error::Error for Refusal {}
