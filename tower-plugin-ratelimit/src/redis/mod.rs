//! One limit for many replicas, on Redis or Valkey.
//!
//! [`RedisLimiter`] decides for all processes that use the same Redis as one process with a
//! [`MemoryLimiter`](crate::MemoryLimiter) would: no window of length W sees more than burst + rate * W,
//! whatever the network does, and without an agreement between the replicas' clocks.
//!
//! A decision is made
//!
//! 1. from what Redis has said before: a key that is over its quota is denied in memory until it is
//!    time to ask again (10 ms to 1 s);
//! 2. from a *lease*, if there is one ([`with_leases`](RedisLimiterBuilder::with_leases)): units that
//!    were debited in advance, which this replica spends without asking;
//! 3. by one script in Redis, on the time of Redis, together with whatever else waits. All quotas of a
//!    policy are charged there, or none;
//! 4. as [`OnUnavailable`] says, if Redis does not answer within the
//!    [deadline](RedisLimiterBuilder::with_deadline).
//!
//! ```no_run
//! use tower_plugin_ratelimit::{
//!     ClientIp, Policy, RateLimitLayer,
//!     redis::{OnUnavailable, RedisLimiter},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = RedisLimiter::builder("redis://127.0.0.1:6379")
//!     .with_leases(5)
//!     .with_on_unavailable(OnUnavailable::Local { replicas: 4 })
//!     .build()?;
//! let policy = Policy::new("api", ["100/s:200".parse()?, "10000/h".parse()?])?;
//! let layer = RateLimitLayer::with_limiter(limiter, policy, ClientIp::peer());
//! # drop(layer);
//! # Ok(())
//! # }
//! ```
//!
//! # Exact or leased
//!
//! Exact, the default, asks for every admission, and hands out every unit of a burst. Leased keeps some
//! percent of each burst for replicas to decide about by themselves, which makes hot keys as fast as
//! memory; small bursts, calendars and keys that come seldom stay exact by themselves.
//! [`OnUnavailable::Floor`] can be had with both.
//!
//! # Deployment caveats
//!
//! * Replicas share a quota if they agree on the server, the prefix, the key secret, the policy's name
//!   and quotas, the key, and in a cluster the number of lanes.
//! * Redis must not evict what it was told: `maxmemory-policy noeviction`, or `volatile-ttl`, which
//!   forgets first who owes least.
//! * A failover that loses writes, a restart without persistence, `FLUSHALL` or an eviction forgets what
//!   was admitted under the lost writes: at most one burst for each key and event. So does a clock of
//!   Redis that is set forward.
//! * Replicas whose monotonic clock stops while they are suspended may spend what they had on lease.
//! * The user needs `EVAL`, `EVALSHA`, `TIME`, `MGET` and `SET` on `tp:rl:*`. Keys there are keyed
//!   hashes.
//!
//! # Failure modes
//!
//! * Redis slow, gone, out of memory, or a replica that takes no writes: [`OnUnavailable`], by default in
//!   memory by half of the quota. After three deadlines in a row nobody waits any more, until a probe in
//!   the background is answered in time. Leases and denials that are known hold meanwhile.
//! * An answer that is lost loses units; nothing that happens twice or late gains any.
//! * More requests waiting than [`with_queue`](RedisLimiterBuilder::with_queue) allows: [`OnUnavailable`].
//!
//! The guide in the repository, `docs/distributed.md`, has the proof, sizing, and how to run Redis for
//! it.

use std::time::UNIX_EPOCH;

use tower_plugin_core::Clock;

mod ask;
mod breaker;
mod flight;
mod future;
mod hash;
mod known;
mod lane;
mod limiter;
mod link;
mod queue;
mod script;
mod settings;
mod share;
mod stats;
mod table;
mod terms;
#[cfg(feature = "redis-tls")]
mod tls;
mod view;
mod wire;

#[cfg(test)]
mod equality;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod simulation;

pub use future::RedisFuture;
pub use hash::SharedHasher;
pub use limiter::RedisLimiter;
pub use settings::{InvalidRedisConfig, RedisLimiterBuilder};
pub use share::OnUnavailable;
pub use stats::RedisStats;

/// The wall clock as records count, at least 1.
fn micros_since_2020(clock: &dyn Clock) -> u64 {
    let since_epoch = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
    micros.saturating_sub(ask::EPOCH * 1_000_000).max(1)
}
