use std::{fmt, str::FromStr};

use crate::host::registry::RegistryLimits;

/// How many services there may be.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Registry")]
pub struct RegistryOptions {
    /// Registrations, 1 to 1000000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "10000",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_registrations: u32,

    /// Registrations of one plugin, 1 to 10000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "32",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub max_registrations_per_plugin: u32,

    /// Registrations of one service, 1 to 100000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "1000",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub max_registrations_per_service: u32,

    /// Plugins that have registered a service or reported their health, 1 to 1000000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "10000",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_plugins: u32,

    /// Which of several providers that are equally well is found: first (the one that registered first),
    /// round-robin (one after the other) or random.
    #[arg(long, value_name = "HOW", default_value = "round-robin")]
    pub selection: Strategy,
}

/// Which of several equally good providers is found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Strategy {
    /// The one that registered first.
    First,
    /// By chance.
    Random,
    /// One after the other.
    #[default]
    RoundRobin,
}

impl FromStr for Strategy {
    type Err = InvalidStrategy;

    fn from_str(text: &str) -> Result<Self, InvalidStrategy> {
        match text {
            "first" => Ok(Self::First),
            "random" => Ok(Self::Random),
            "round-robin" => Ok(Self::RoundRobin),
            _ => Err(InvalidStrategy),
        }
    }
}

/// A `--selection` that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidStrategy;

impl fmt::Display for InvalidStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be first, round-robin or random")
    }
}

impl std::error::Error for InvalidStrategy {}

impl RegistryOptions {
    pub(super) fn config(self) -> RegistryLimits {
        let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
        RegistryLimits {
            registrations: count(self.max_registrations),
            per_plugin: count(self.max_registrations_per_plugin),
            per_service: count(self.max_registrations_per_service),
            plugins: count(self.max_plugins),
        }
    }
}
