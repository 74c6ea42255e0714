//! How often: one policy for each kind of call, one limiter under all of them.

use std::sync::Arc;

use tower_plugin_core::Clock;
use tower_plugin_ratelimit::{
    EitherLimiter, MemoryLimiter, OnFull, Policy, Quota, RateLimitLayer, key::Key,
    redis::RedisLimiter,
};

use super::{HostError, RedisConfig};

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

    /// Calls to other plugins by one plugin.
    #[arg(
        long = "service-quota",
        value_name = "QUOTA",
        default_value = "1000/s:2000"
    )]
    pub service: Quota,

    /// Health reports by one plugin.
    #[arg(long = "health-quota", value_name = "QUOTA", default_value = "10/s:20")]
    pub health: Quota,
}

/// In this process, or on Redis: the layers are the same.
pub(super) type HostLimiter = EitherLimiter<MemoryLimiter<Arc<dyn Clock>>, RedisLimiter>;

/// The quotas at work.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) limiter: HostLimiter,
    pub(super) client: Policy,
    pub(super) handshake: Policy,
    pub(super) register: Policy,
    pub(super) service: Policy,
    pub(super) discover: Policy,
    pub(super) watch: Policy,
    pub(super) health: Policy,
}

impl Limits {
    pub(super) fn new(
        quotas: Quotas,
        redis: Option<&RedisConfig>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HostError> {
        let Quotas {
            client,
            handshake,
            register,
            discover,
            watch,
            service,
            health,
        } = quotas;
        let limiter = match redis {
            Some(redis) => EitherLimiter::Right(on_redis(redis, clock)?),
            None => EitherLimiter::Left(MemoryLimiter::with_clock(
                MAX_KEYS,
                OnFull::default(),
                clock,
            )?),
        };
        Ok(Self {
            limiter,
            client: Policy::new("client", [client])?,
            handshake: Policy::new("handshake", [handshake])?,
            register: Policy::new("register", [register])?,
            service: Policy::new("service", [service])?,
            discover: Policy::new("discover", [discover])?,
            watch: Policy::new("watch", [watch])?,
            health: Policy::new("health", [health])?,
        })
    }

    pub(super) fn layer<K: Key>(&self, policy: &Policy, key: K) -> RateLimitLayer<K, HostLimiter> {
        RateLimitLayer::with_limiter(self.limiter.clone(), policy.clone(), key)
    }
}

fn on_redis(redis: &RedisConfig, clock: Arc<dyn Clock>) -> Result<RedisLimiter, HostError> {
    let mut builder = RedisLimiter::builder(redis.url.expose())
        .with_clock(clock)
        .on_unavailable(redis.on_unavailable);
    if let Some(percent) = redis.leases {
        builder = builder.with_leases(percent);
    }
    Ok(builder.build()?)
}

const MAX_KEYS: usize = 1 << 18;
