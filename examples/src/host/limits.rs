//! How often: one policy for each kind of call, one limiter under all of them.

use std::sync::Arc;

use tower_plugin_core::Clock;
use tower_plugin_ratelimit::{MemoryLimiter, OnFull, Policy, Quota, RateLimitLayer, key::Key};

use super::HostError;

/// How often each kind of call is let through.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Quotas {
    /// Calls of all kinds by one client address, as COUNT/PERIOD or COUNT/PERIOD:BURST.
    #[arg(
        long = "client-quota",
        value_name = "QUOTA",
        default_value = "1000/s:2000"
    )]
    pub client: Quota,

    /// Handshakes by one client address.
    #[arg(
        long = "handshake-quota",
        value_name = "QUOTA",
        default_value = "10/s:20"
    )]
    pub handshake: Quota,

    /// Registrations, made and taken back, by one plugin.
    #[arg(long = "register-quota", value_name = "QUOTA", default_value = "1/s:5")]
    pub register: Quota,

    /// Discoveries by one plugin.
    #[arg(
        long = "discover-quota",
        value_name = "QUOTA",
        default_value = "100/s:200"
    )]
    pub discover: Quota,

    /// Watches begun by one plugin.
    #[arg(long = "watch-quota", value_name = "QUOTA", default_value = "1/s:3")]
    pub watch: Quota,

    /// Health reports by one plugin.
    #[arg(long = "health-quota", value_name = "QUOTA", default_value = "10/s:20")]
    pub health: Quota,
}

/// The quotas at work.
#[derive(Debug)]
pub(super) struct Limits {
    limiter: MemoryLimiter<Arc<dyn Clock>>,
    pub(super) client: Policy,
    pub(super) handshake: Policy,
    pub(super) register: Policy,
    pub(super) discover: Policy,
    pub(super) watch: Policy,
    pub(super) health: Policy,
}

impl Limits {
    pub(super) fn new(quotas: Quotas, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        let Quotas {
            client,
            handshake,
            register,
            discover,
            watch,
            health,
        } = quotas;
        Ok(Self {
            limiter: MemoryLimiter::with_clock(MAX_KEYS, OnFull::default(), clock)?,
            client: Policy::new("client", [client])?,
            handshake: Policy::new("handshake", [handshake])?,
            register: Policy::new("register", [register])?,
            discover: Policy::new("discover", [discover])?,
            watch: Policy::new("watch", [watch])?,
            health: Policy::new("health", [health])?,
        })
    }

    pub(super) fn layer<K: Key>(
        &self,
        policy: &Policy,
        key: K,
    ) -> RateLimitLayer<K, MemoryLimiter<Arc<dyn Clock>>> {
        RateLimitLayer::with_limiter(self.limiter.clone(), policy.clone(), key)
    }
}

const MAX_KEYS: usize = 1 << 18;
