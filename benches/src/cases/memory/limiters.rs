//! Ours and the peers behind one trait, with quotas that admit everything.

use std::{hash::Hash, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tower_plugin_ratelimit::{Cost, MemoryLimiter, Policy};

use super::{global_map::GlobalMap, keys::MILLION};

/// A limiter as its users call it: one key in, yes or no out, the time read inside.
pub(super) trait Limiter<K>: Send + Sync + 'static {
    const NAME: &'static str;

    /// With room for a million keys, where that has to be said.
    fn for_a_million() -> Self;

    fn admits(&self, key: &K) -> bool;
}

pub(super) struct Ours {
    limiter: MemoryLimiter,
    policy: Policy,
}

impl<K: Hash> Limiter<K> for Ours {
    const NAME: &'static str = "tower-plugin-ratelimit";

    fn for_a_million() -> Self {
        let a_unit_each_nanosecond =
            tower_plugin_ratelimit::Quota::with_period(PLENTY, Duration::from_secs(1));
        Self {
            limiter: MemoryLimiter::new(MILLION as usize).expect("a million is in range"),
            policy: Policy::from(a_unit_each_nanosecond.expect("in range")),
        }
    }

    fn admits(&self, key: &K) -> bool {
        let decision = self.limiter.check_key(&self.policy, key, Cost::ONE);
        decision.is_allowed()
    }
}

/// Over its `DashMap`, which is its default.
pub(super) struct Governor<K: Clone + Eq + Hash>(DefaultKeyedRateLimiter<K>);

impl<K> Limiter<K> for Governor<K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    const NAME: &'static str = "governor";

    fn for_a_million() -> Self {
        let a_unit_each_nanosecond = Quota::with_period(Duration::from_nanos(1))
            .expect("not zero")
            .allow_burst(NonZeroU32::new(PLENTY).expect("not zero"));
        Self(RateLimiter::keyed(a_unit_each_nanosecond))
    }

    fn admits(&self, key: &K) -> bool {
        self.0.check_key(key).is_ok()
    }
}

pub(super) struct Naive<K>(GlobalMap<K>);

impl<K> Limiter<K> for Naive<K>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
{
    const NAME: &'static str = "global map";

    fn for_a_million() -> Self {
        Self(GlobalMap::default())
    }

    fn admits(&self, key: &K) -> bool {
        self.0.allow(key, f64::from(PLENTY), PLENTY)
    }
}

const PLENTY: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_refuses_what_a_bench_asks() {
        fn ask<L: Limiter<u128>>() {
            let limiter = L::for_a_million();
            for key in (0..1000).chain([7; 1000]) {
                assert!(limiter.admits(&key), "{}", L::NAME);
            }
        }
        ask::<Ours>();
        ask::<Governor<u128>>();
        ask::<Naive<u128>>();
    }
}
