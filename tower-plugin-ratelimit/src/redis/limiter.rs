use std::{
    fmt,
    hash::Hash,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};
use tower_plugin_core::{Answer, AnswerFuture, Clock};

use super::{
    InvalidRedisConfig, OnUnavailable, RedisFuture, RedisLimiterBuilder, RedisStats, SharedHasher,
    known::Local,
    lane::{Core, Lane},
    link::Link,
    queue::{Queue, Trouble, Waiter},
    settings::PATIENCE,
    share::{Share, Shares},
    stats::Counters,
    table::{Decided, Table},
    view::View,
};
use crate::{
    Cost, Decision, Limiter, MemoryLimiter, OnFull, Operation, Policy, Unavailable,
    decision::Outcome, memory::InvalidCapacity,
};

/// A limiter whose quotas are shared by every replica that uses the same Redis.
///
/// Clones share everything, and the last one to be dropped ends its tasks. See the
/// [module](super) for what it promises.
#[derive(Clone)]
pub struct RedisLimiter {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    core: Arc<Core>,
    queues: Vec<Arc<Queue>>,
    tasks: Vec<AbortHandle>,
    shares: Shares,
    on_unavailable: OnUnavailable,
    /// For what is decided without Redis.
    memory: MemoryLimiter<Arc<dyn Clock>>,
    secret: [u8; 16],
}

impl RedisLimiter {
    /// A limiter on one server: `redis://`, `rediss://` (feature `redis-tls`) or `redis+unix://`.
    ///
    /// With `rediss://`, the certificates are those the operating system trusts, and the cryptography is
    /// the rustls provider of the process; ring becomes that, if none is.
    pub fn builder(url: impl AsRef<str>) -> RedisLimiterBuilder {
        RedisLimiterBuilder::one(url.as_ref())
    }

    /// A limiter on a cluster, of which some nodes are known.
    #[cfg(feature = "redis-cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-cluster")))]
    pub fn cluster_builder(
        urls: impl IntoIterator<Item = impl Into<String>>,
    ) -> RedisLimiterBuilder {
        RedisLimiterBuilder::cluster(urls.into_iter().map(Into::into).collect())
    }

    /// A limiter on whichever server the sentinels take for the primary of that name.
    #[cfg(feature = "redis-sentinel")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-sentinel")))]
    pub fn sentinel_builder(
        urls: impl IntoIterator<Item = impl Into<String>>,
        primary: impl Into<String>,
    ) -> RedisLimiterBuilder {
        RedisLimiterBuilder::sentinel(urls.into_iter().map(Into::into).collect(), primary.into())
    }

    pub(super) fn start(
        settings: RedisLimiterBuilder,
        runtime: &Handle,
    ) -> Result<Self, InvalidRedisConfig> {
        let clock = settings.clock;
        let mut replica = [0; 8];
        getrandom::fill(&mut replica).map_err(|_| InvalidRedisConfig::randomness())?;
        let memory =
            MemoryLimiter::with_clock(settings.local_keys, OnFull::default(), Arc::clone(&clock))
                .map_err(|_: InvalidCapacity| InvalidRedisConfig::local_keys())?;
        let core = Arc::new(Core {
            link: Link::new(settings.server?, PATIENCE),
            table: Table::new(settings.local_keys),
            clock,
            counters: Counters::default(),
            deadline: settings.deadline,
            patience: PATIENCE.max(settings.deadline),
            prefix: settings.prefix,
            replica: u64::from_le_bytes(replica),
            brings_time: settings.brings_time,
        });
        let room = settings.queue.div_ceil(settings.lanes);
        let queues: Vec<_> = (0..settings.lanes)
            .map(|_| Arc::new(Queue::new(room)))
            .collect();
        let lanes = queues.iter().enumerate().map(|(number, queue)| {
            let (core, queue) = (Arc::clone(&core), Arc::clone(queue));
            let lane = async move { Lane::new(number, core, queue).run().await };
            runtime.spawn(lane).abort_handle()
        });
        Ok(Self {
            shared: Arc::new(Shared {
                tasks: lanes.collect(),
                core,
                queues,
                shares: Shares::new(settings.on_unavailable, settings.headroom),
                on_unavailable: settings.on_unavailable,
                memory,
                secret: settings.secret,
            }),
        })
    }

    /// Waits until there is a connection, for a second at most. For those who would rather not start
    /// than start without Redis.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if there is none. The limiter goes on trying.
    pub async fn connected(&self) -> Result<(), Unavailable> {
        let connection = self.shared.core.link.connection().await;
        connection.map(drop).map_err(|error| {
            tracing::warn!(%error, "no connection to redis");
            Unavailable::new(RETRY)
        })
    }

    /// Decides whether `key` may spend `cost` now, and debits it if so.
    ///
    /// For handlers that limit by something only they know. The key shares its quota with what a
    /// layer on a clone of this limiter, in any replica, keys by the same value under the same policy.
    pub fn check_key(
        &self,
        policy: &Policy,
        key: impl Hash,
        cost: Cost,
    ) -> AnswerFuture<Result<Decision, Unavailable>, RedisFuture> {
        self.apply_key(policy, key, Operation::Check(cost))
    }

    /// Does something with the quotas of `key`, all of them or none, and says where it stands.
    pub fn apply_key(
        &self,
        policy: &Policy,
        key: impl Hash,
        operation: Operation,
    ) -> AnswerFuture<Result<Decision, Unavailable>, RedisFuture> {
        let key = self.hasher(policy).keyed(key);
        self.apply(policy, key, operation).into_future()
    }

    /// Figures for operators; walks what is known of the busiest keys.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        let Core {
            table, counters, ..
        } = &*self.shared.core;
        counters.stats(table.decided())
    }
}

impl Limiter for RedisLimiter {
    type Hasher = SharedHasher;
    type Future = RedisFuture;

    #[inline]
    fn hasher(&self, policy: &Policy) -> SharedHasher {
        SharedHasher::new(&self.shared.secret, policy.id())
    }

    #[inline]
    fn apply(
        &self,
        policy: &Policy,
        key: SharedHasher,
        operation: Operation,
    ) -> Answer<Result<Decision, Unavailable>, RedisFuture> {
        let key = key.key();
        let now = self.shared.core.clock.monotonic_nanos();
        match self.shared.locally(policy, key, operation, now) {
            Some(decision) => Answer::Ready(Ok(decision)),
            None => self.shared.ask(policy, key, operation, now),
        }
    }
}

impl Shared {
    /// What can be decided without asking.
    #[inline]
    fn locally(
        &self,
        policy: &Policy,
        key: u128,
        operation: Operation,
        now: u64,
    ) -> Option<Decision> {
        match operation {
            Operation::Check(cost) => {
                if matches!(self.on_unavailable, OnUnavailable::Floor { .. })
                    && let Some(decision) = self.by_own_share(policy, key, operation)
                {
                    self.core.counters.own.fetch_add(1, Relaxed);
                    return Some(decision);
                }
                self.by_what_is_known(policy, key, cost.units(), now)
            }
            Operation::Refund { debited_at, .. } if debited_at.is_own() => {
                Some(self.apply_in_memory(&self.shares.of(policy), policy, key, operation))
            }
            _ => None,
        }
    }

    #[inline]
    fn by_what_is_known(
        &self,
        policy: &Policy,
        key: u128,
        cost: u32,
        now: u64,
    ) -> Option<Decision> {
        let version = policy.version();
        let (decision, is_low) =
            self.core
                .table
                .look(key, |entry| match entry.known.decide(version, now, cost) {
                    Local::Ask => (None, (None, false)),
                    Local::Deny => {
                        let until = entry.known.denied_until();
                        let decision = entry.view.denied(policy, now, until);
                        (Some(Decided::Deny), (Some(decision), false))
                    }
                    Local::Spend { low } => {
                        let decision = entry.view.spent(policy, now);
                        (Some(Decided::Spend), (Some(decision), low))
                    }
                })?;
        if is_low {
            let Share { terms, .. } = self.shares.of(policy);
            self.queue(key).prefetch(key, policy, &terms);
        }
        decision
    }

    fn by_own_share(&self, policy: &Policy, key: u128, check: Operation) -> Option<Decision> {
        let own = self.shares.of(policy).own?;
        let decision = self.memory.apply_key(&own, key, check).marked_own();
        decision.is_allowed().then_some(decision)
    }

    fn ask(
        self: &Arc<Self>,
        policy: &Policy,
        key: u128,
        operation: Operation,
        now: u64,
    ) -> Answer<Result<Decision, Unavailable>, RedisFuture> {
        let Share { terms, .. } = self.shares.of(policy);
        if let Operation::Check(cost) | Operation::Peek(cost) = operation
            && cost.units() > terms.largest_cost()
        {
            let view = View::default();
            let decision = view.decision(policy, now, OWN_TIME, |index| {
                if cost.units() > terms.largest_cost_of(index) {
                    Outcome::CostExceedsBurst
                } else {
                    Outcome::Allow { wait: 0 }
                }
            });
            return Answer::Ready(Ok(decision));
        }
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter {
            operation,
            since: now,
            answer: sender,
        };
        match self.queue(key).push(key, policy, &terms, waiter) {
            Ok(()) => Answer::Pending(RedisFuture {
                receiver,
                asked: Some(Asked {
                    shared: Arc::clone(self),
                    policy: policy.clone(),
                    key,
                    operation,
                }),
            }),
            Err(trouble) => Answer::Ready(self.without_redis(policy, key, operation, trouble)),
        }
    }

    /// Decides as [`OnUnavailable`] says.
    fn without_redis(
        &self,
        policy: &Policy,
        key: u128,
        operation: Operation,
        trouble: Trouble,
    ) -> Result<Decision, Unavailable> {
        let counters = &self.core.counters;
        counters.unavailable.fetch_add(1, Relaxed);
        match trouble {
            Trouble::Down => {}
            Trouble::Full => _ = counters.overflowed.fetch_add(1, Relaxed),
            Trouble::Late => _ = counters.late.fetch_add(1, Relaxed),
        }
        let share = self.shares.of(policy);
        match self.on_unavailable {
            OnUnavailable::Deny => Err(Unavailable::new(RETRY)),
            OnUnavailable::Floor { .. } | OnUnavailable::Local { .. } if share.own.is_none() => {
                Err(Unavailable::new(RETRY))
            }
            _ => Ok(self.apply_in_memory(&share, policy, key, operation)),
        }
    }

    /// What was debited in Redis is not paid back here.
    fn apply_in_memory(
        &self,
        share: &Share,
        policy: &Policy,
        key: u128,
        operation: Operation,
    ) -> Decision {
        let operation = match operation {
            Operation::Refund { debited_at, .. } if !debited_at.is_own() => {
                Operation::Peek(Cost::ONE)
            }
            operation => operation,
        };
        match &share.own {
            Some(own) => self.memory.apply_key(own, key, operation).marked_own(),
            None => {
                let now = self.core.clock.monotonic_nanos();
                View::default().decision(policy, now, OWN_TIME, |_| Outcome::Allow { wait: 0 })
            }
        }
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a 64-bit number times the length, shifted right by 64, is below the length"
    )]
    fn queue(&self, key: u128) -> &Queue {
        let low = key as u64;
        let index = (u128::from(low) * self.queues.len() as u128) >> 64;
        &self.queues[index as usize]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("on_unavailable", &self.shared.on_unavailable)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A decision that Redis is asked for.
pub(super) struct Asked {
    shared: Arc<Shared>,
    policy: Policy,
    key: u128,
    operation: Operation,
}

impl Asked {
    pub(super) fn without_redis(self, trouble: Trouble) -> Result<Decision, Unavailable> {
        self.shared
            .without_redis(&self.policy, self.key, self.operation, trouble)
    }
}

/// The wall clock's time of a decision that nothing was debited for.
const OWN_TIME: u64 = 1;
/// When to ask again after no answer.
const RETRY: Duration = Duration::from_secs(1);
