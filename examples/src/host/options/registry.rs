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
}

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
