//! How often: one policy for each kind of call, one limiter under all of them.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tower_plugin_core::Clock;
use tower_plugin_ratelimit::{
    Counts, EitherLimiter, InvalidPolicy, Limiter, LivePolicy, MemoryLimiter, OnFull, Policy,
    Quota, RateLimitLayer, key::Key, redis::RedisLimiter,
};

use super::{HostError, RedisConfig};

/// How often each kind of call is let through.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Quotas")]
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

    /// Requests for capabilities by one plugin.
    #[arg(long = "broker-quota", value_name = "QUOTA", default_value = "10/s:20")]
    pub broker: Quota,

    /// Calls to capabilities by one plugin, whichever of its grants are used.
    #[arg(
        long = "capability-quota",
        value_name = "QUOTA",
        default_value = "100/s:200"
    )]
    pub capability: Quota,

    /// Health reports by one plugin.
    #[arg(long = "health-quota", value_name = "QUOTA", default_value = "10/s:20")]
    pub health: Quota,

    /// New tokens by one plugin.
    #[arg(long = "rotate-quota", value_name = "QUOTA", default_value = "1/m:5")]
    pub rotate: Quota,
}

/// In this process, or on Redis: the layers are the same.
pub(super) type HostLimiter = EitherLimiter<MemoryLimiter<Arc<dyn Clock>>, RedisLimiter>;

/// The quotas at work.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) limiter: HostLimiter,
    pub(super) client: LivePolicy,
    pub(super) handshake: LivePolicy,
    pub(super) register: LivePolicy,
    pub(super) service: LivePolicy,
    pub(super) broker: LivePolicy,
    pub(super) capability: LivePolicy,
    pub(super) discover: LivePolicy,
    pub(super) watch: LivePolicy,
    pub(super) health: LivePolicy,
    pub(super) rotate: LivePolicy,
    // One for each layer that was made.
    counters: Mutex<Vec<Counter>>,
}

/// What one layer has decided.
struct Counter {
    policy: LivePolicy,
    counts: Box<dyn Fn() -> Counts + Send + Sync>,
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
            broker,
            capability,
            health,
            rotate,
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
            client: live("client", client)?,
            handshake: live("handshake", handshake)?,
            register: live("register", register)?,
            service: live("service", service)?,
            broker: live("broker", broker)?,
            capability: live("capability", capability)?,
            discover: live("discover", discover)?,
            watch: live("watch", watch)?,
            health: live("health", health)?,
            rotate: live("rotate", rotate)?,
            counters: Mutex::default(),
        })
    }

    /// Puts these quotas into force, all or none, from the next decision on: what callers owe, they go on owing.
    /// The names of those that have changed.
    pub(super) fn set(&self, quotas: Quotas) -> Result<Vec<String>, InvalidPolicy> {
        let Quotas {
            client,
            handshake,
            register,
            discover,
            watch,
            service,
            broker,
            capability,
            health,
            rotate,
        } = quotas;
        let mut changes = Vec::new();
        for (live, quota) in [
            (&self.client, client),
            (&self.handshake, handshake),
            (&self.register, register),
            (&self.discover, discover),
            (&self.watch, watch),
            (&self.service, service),
            (&self.broker, broker),
            (&self.capability, capability),
            (&self.health, health),
            (&self.rotate, rotate),
        ] {
            let policy = live.get();
            if policy.quotas() != [quota] {
                changes.push((live, policy.with_quotas([quota])?));
            }
        }
        let changed = |(live, policy): (&LivePolicy, Policy)| {
            let name = policy.name().to_owned();
            live.set(policy);
            name
        };
        Ok(changes.into_iter().map(changed).collect())
    }

    pub(super) fn layer<K>(&self, policy: &LivePolicy, key: K) -> RateLimitLayer<K, HostLimiter>
    where
        K: Key + Clone + Send + Sync + 'static,
    {
        let layer = RateLimitLayer::with_limiter(self.limiter.clone(), policy.clone(), key);
        self.keep_counts(policy, &layer);
        layer
    }

    /// Lets [`counts`](Self::counts) tell what this layer decides.
    pub(super) fn keep_counts<K, L>(&self, policy: &LivePolicy, layer: &RateLimitLayer<K, L>)
    where
        K: Key + Clone + Send + Sync + 'static,
        L: Limiter + Clone + Send + Sync + 'static,
    {
        let layer = layer.clone();
        self.counters.lock().push(Counter {
            policy: policy.clone(),
            counts: Box::new(move || layer.counts()),
        });
    }

    /// What was decided by each policy, in all its layers.
    pub(super) fn counts(&self) -> Vec<(Policy, Counts)> {
        let mut sums: Vec<(Policy, Counts)> = Vec::new();
        for Counter { policy, counts } in &*self.counters.lock() {
            let (policy, counts) = (policy.get(), counts());
            match sums
                .iter_mut()
                .find(|(known, _)| known.name() == policy.name())
            {
                Some((_, sum)) => {
                    sum.allowed += counts.allowed;
                    sum.denied += counts.denied;
                    sum.undecided += counts.undecided;
                }
                None => sums.push((policy, counts)),
            }
        }
        sums
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter")
            .field("policy", &self.policy.get().name())
            .finish_non_exhaustive()
    }
}

/// Its keys are named by its name alone. So copies on one Redis count together whatever each was told last: one was
/// started with another quota, one has read it from a file, one will.
fn live(name: &'static str, quota: Quota) -> Result<LivePolicy, InvalidPolicy> {
    let named = Policy::new(name, [ANY_QUOTA])?;
    Ok(LivePolicy::new(named.with_quotas([quota])?))
}

fn on_redis(redis: &RedisConfig, clock: Arc<dyn Clock>) -> Result<RedisLimiter, HostError> {
    let mut builder = RedisLimiter::builder(redis.url.expose())
        .with_clock(clock)
        .with_on_unavailable(redis.on_unavailable);
    if let Some(percent) = redis.leases {
        builder = builder.with_leases(percent);
    }
    Ok(builder.build()?)
}

const ANY_QUOTA: Quota = match Quota::per_second(1) {
    Ok(quota) => quota,
    Err(_) => panic!("when this is compiled: it is in range"),
};
const MAX_KEYS: usize = 1 << 18;
