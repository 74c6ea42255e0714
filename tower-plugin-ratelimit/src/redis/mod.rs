//! One limit for many replicas, on Redis or Valkey.

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
