//! Figures of a limiter on Redis.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use redis::RedisError;

use super::flight::Flight;

/// The figures of a [`RedisLimiter`](super::RedisLimiter), since it was built.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisStats {
    /// Admitted from a lease, or from the replica's own share, without asking.
    pub allowed_locally: u64,
    /// Denied from what Redis had said before, without asking.
    pub denied_locally: u64,
    /// Decided by Redis.
    pub asked: u64,
    /// Calls to Redis that were answered.
    pub batches: u64,
    /// Keys in them.
    pub batched_keys: u64,
    /// How long these calls took together.
    pub batch_time: Duration,
    /// How long the longest took.
    pub longest_batch: Duration,
    /// Calls that failed, and attempts to connect.
    pub errors: u64,
    /// Decided as [`OnUnavailable`](super::OnUnavailable) says.
    pub unavailable: u64,
    /// Of these, because no answer came within the deadline.
    pub late: u64,
    /// Of these, because as many waited as may.
    pub overflowed: u64,
    /// Lanes for which Redis is taken for down now.
    pub lanes_down: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    asked: AtomicU64,
    batches: AtomicU64,
    batched_keys: AtomicU64,
    batch_nanos: AtomicU64,
    longest_nanos: AtomicU64,
    errors: AtomicU64,
    pub(super) unavailable: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) overflowed: AtomicU64,
    /// From the replica's own share.
    pub(super) own: AtomicU64,
    lanes_down: AtomicUsize,
}

impl Counters {
    pub(super) fn batch(&self, took: Duration, flights: &[Flight]) {
        let decisions: usize = flights.iter().map(Flight::decisions).sum();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.asked.fetch_add(decisions as u64, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        self.batched_keys.fetch_add(flights.len() as u64, Relaxed);
        self.batch_nanos.fetch_add(nanos, Relaxed);
        self.longest_nanos.fetch_max(nanos, Relaxed);
        #[cfg(feature = "metrics")]
        {
            metrics::histogram!("tower_plugin_ratelimit_redis_batch_seconds")
                .record(took.as_secs_f64());
            metrics::histogram!("tower_plugin_ratelimit_redis_batch_decisions")
                .record(decisions as f64);
        }
    }

    pub(super) fn failed(&self, error: &RedisError) {
        self.errors.fetch_add(1, Relaxed);
        tracing::debug!(%error, "redis did not decide");
    }

    pub(super) fn down(&self, is_down: bool) {
        if is_down {
            self.lanes_down.fetch_add(1, Relaxed);
        } else {
            self.lanes_down.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn stats(&self, (spent, denied): (u64, u64)) -> RedisStats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        RedisStats {
            allowed_locally: spent + count(&self.own),
            denied_locally: denied,
            asked: count(&self.asked),
            batches: count(&self.batches),
            batched_keys: count(&self.batched_keys),
            batch_time: Duration::from_nanos(count(&self.batch_nanos)),
            longest_batch: Duration::from_nanos(count(&self.longest_nanos)),
            errors: count(&self.errors),
            unavailable: count(&self.unavailable),
            late: count(&self.late),
            overflowed: count(&self.overflowed),
            lanes_down: self.lanes_down.load(Relaxed),
        }
    }
}

#[cfg(feature = "metrics")]
impl RedisStats {
    /// Sets counters of the `metrics` facade, and the gauge of lanes that are down, labelled with the limiter's
    /// name: call it when they are about to be read.
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record(&self, limiter: &'static str) {
        let counts = [
            (
                "tower_plugin_ratelimit_redis_allowed_locally_total",
                self.allowed_locally,
            ),
            (
                "tower_plugin_ratelimit_redis_denied_locally_total",
                self.denied_locally,
            ),
            ("tower_plugin_ratelimit_redis_asked_total", self.asked),
            ("tower_plugin_ratelimit_redis_batches_total", self.batches),
            ("tower_plugin_ratelimit_redis_errors_total", self.errors),
            (
                "tower_plugin_ratelimit_redis_unavailable_total",
                self.unavailable,
            ),
            ("tower_plugin_ratelimit_redis_late_total", self.late),
            (
                "tower_plugin_ratelimit_redis_overflowed_total",
                self.overflowed,
            ),
        ];
        for (name, count) in counts {
            metrics::counter!(name, "limiter" => limiter).absolute(count);
        }
        let down = metrics::gauge!("tower_plugin_ratelimit_redis_lanes_down", "limiter" => limiter);
        down.set(self.lanes_down as f64);
    }
}
