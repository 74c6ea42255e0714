//! The limiter that is written first: a map behind one lock, with a bucket behind another for each
//! key, and tokens as floating point. connect-plugin-go's is described like that; this is a port of
//! the description, flaws of concurrency included.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use crate::runner::now;

pub(super) struct GlobalMap<K> {
    buckets: RwLock<HashMap<K, Arc<Mutex<Bucket>>>>,
}

struct Bucket {
    tokens: f64,
    rate: f64,
    burst: f64,
    last_refill: Instant,
    last_used: Instant,
}

impl<K: Clone + Eq + Hash> GlobalMap<K> {
    /// Takes a token from the key's bucket, which holds `burst` and gains `rate` a second.
    pub(super) fn allow(&self, key: &K, rate: f64, burst: u32) -> bool {
        let found = {
            let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
            buckets.get(key).map(Arc::clone)
        };
        // Between the two locks another thread may do the same: the later bucket replaces the other.
        let bucket = found.unwrap_or_else(|| {
            let bucket = Arc::new(Mutex::new(Bucket::full(rate, burst)));
            let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
            buckets.insert(key.clone(), Arc::clone(&bucket));
            bucket
        });
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now(), rate, burst)
    }
}

impl<K> Default for GlobalMap<K> {
    fn default() -> Self {
        Self {
            buckets: RwLock::default(),
        }
    }
}

impl Bucket {
    fn full(rate: f64, burst: u32) -> Self {
        let now = now();
        Self {
            tokens: burst.into(),
            rate,
            burst: burst.into(),
            last_refill: now,
            last_used: now,
        }
    }

    fn take(&mut self, now: Instant, rate: f64, burst: u32) -> bool {
        self.rate = rate;
        self.burst = burst.into();
        let elapsed = now.saturating_duration_since(self.last_refill);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.rate).min(self.burst);
        self.last_refill = now;
        // For the sweep that drops idle buckets, which no bench reaches.
        self.last_used = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_holds_its_burst_and_refills_at_its_rate() {
        let mut bucket = Bucket::full(2.0, 2);
        let start = bucket.last_used;
        let mut take = |after| bucket.take(start + Duration::from_millis(after), 2.0, 2);
        assert_eq!([0, 0, 0, 499].map(&mut take), [true, true, false, false]);
        assert_eq!([500, 500, 60_000].map(&mut take), [true, false, true]);
        assert_eq!([60_000, 60_000].map(&mut take), [true, false]);
    }

    #[test]
    fn keys_have_buckets_of_their_own() {
        let limiter = GlobalMap::default();
        let mut allow = |key| limiter.allow(&key, 0.0, 1);
        assert_eq!(["a", "a", "b"].map(&mut allow), [true, false, true]);
    }
}
