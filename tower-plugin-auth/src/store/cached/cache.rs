use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, Ordering::Relaxed},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync};
use parking_lot::Mutex;
use tower_plugin_core::Clock;

use super::{CacheStats, CachedStoreBuilder, lookup::Flight};
use crate::{
    store::Found,
    token::{Record, TokenId},
};

/// Tells a [`CachedStore`](super::CachedStore) what has changed behind its back.
///
/// For stores that can say so: on each change of a record call [`forget`](Self::forget), and
/// [`confirm`](Self::confirm) over and over that nothing was missed. Clones reach the same store.
#[derive(Clone)]
pub struct Invalidator(Arc<Cache>);

impl Invalidator {
    pub(super) fn new(cache: Arc<Cache>) -> Self {
        Self(cache)
    }

    /// A record has changed or is gone.
    pub fn forget(&self, id: &TokenId) {
        self.0.forget(id);
    }

    /// Anything may have changed: nothing remembered so far is served again.
    pub fn flush(&self) {
        self.0.flush();
    }

    /// A reading of the clock for [`confirm`](Self::confirm).
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.now()
    }

    /// Every change made before this [reading](Self::now) has been told.
    pub fn confirm(&self, as_of: u64) {
        let until = as_of.saturating_add(self.0.bound);
        self.0.live_until.fetch_max(until, Ordering::AcqRel);
    }

    /// News do not arrive any more, and some may have been missed.
    pub fn lost(&self) {
        self.0.live_until.store(0, Ordering::Release);
        self.0.flush();
    }

    #[cfg(feature = "redis")]
    pub(in crate::store) fn bound(&self) -> Duration {
        self.0.revocation_bound()
    }
}

impl fmt::Debug for Invalidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidator").finish_non_exhaustive()
    }
}

/// What is remembered, and what is being looked up.
pub(super) struct Cache {
    records: sync::Cache<TokenId, Entry>,
    absent: sync::Cache<TokenId, Entry>,
    shards: [Mutex<Shard>; SHARDS],
    /// Entries of an earlier generation are not served.
    generation: AtomicU64,
    /// Until then nothing can have been missed for longer than the bound.
    live_until: AtomicU64,
    counts: Counts,
    clock: Arc<dyn Clock>,
    // In nanoseconds.
    bound: u64,
    degraded_age: u64,
    max_age: u64,
    negative_age: u64,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    forgotten: AtomicU64,
    flushes: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    record: Option<Arc<Record>>,
    generation: u64,
    /// When it was asked for, which is before it was known.
    asked_at: u64,
}

/// Held while an answer is written down and while it is forgotten, so that none is written down that
/// was forgotten while it was on its way.
#[derive(Default)]
pub(super) struct Shard {
    /// Counts what was forgotten.
    epoch: u64,
    pub(super) flights: HashMap<TokenId, Flight>,
}

/// What was the case when a lookup began.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    epoch: u64,
    generation: u64,
    pub(super) asked_at: u64,
}

impl Cache {
    pub(super) fn new(settings: CachedStoreBuilder) -> Self {
        let cache = |capacity, age| {
            sync::Cache::builder()
                .max_capacity(capacity)
                // What is new is what is needed: frequency would keep it out.
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(age)
                .build()
        };
        Self {
            records: cache(settings.capacity, settings.max_age),
            // moka takes no zero; what is as old as it may be is not served anyway.
            absent: cache(
                settings.capacity.div_ceil(10),
                settings.negative_age.max(Duration::from_millis(1)),
            ),
            shards: std::array::from_fn(|_| Mutex::default()),
            generation: AtomicU64::new(0),
            live_until: AtomicU64::new(0),
            counts: Counts::default(),
            clock: settings.clock,
            bound: nanos(settings.revocation_bound),
            degraded_age: nanos(settings.degraded_age),
            max_age: nanos(settings.max_age),
            negative_age: nanos(settings.negative_age),
        }
    }

    /// What is known of an id and still sure enough: a record, or that there is none.
    pub(super) fn get(&self, id: &TokenId) -> Option<Option<Arc<Record>>> {
        let remembered = self.recall(id);
        let count = match remembered {
            Some(_) => &self.counts.hits,
            None => &self.counts.misses,
        };
        count.fetch_add(1, Relaxed);
        remembered
    }

    fn recall(&self, id: &TokenId) -> Option<Option<Arc<Record>>> {
        let entry = self.records.get(id).or_else(|| self.absent.get(id))?;
        let now = self.now();
        let age = now.saturating_sub(entry.asked_at);
        let allowed = match entry.record {
            Some(_) => self.max_age,
            None => self.negative_age,
        };
        let is_sure = now < self.live_until.load(Ordering::Acquire) || age < self.degraded_age;
        let is_current = entry.generation == self.generation.load(Ordering::Acquire);
        (is_sure && is_current && age < allowed).then_some(entry.record)
    }

    pub(super) fn ticket(&self, shard: &Shard) -> Ticket {
        Ticket {
            epoch: shard.epoch,
            generation: self.generation.load(Ordering::Acquire),
            asked_at: self.now(),
        }
    }

    /// Remembers an answer, unless something was forgotten since it was asked for.
    pub(super) fn remember(&self, id: &TokenId, ticket: Ticket, found: &Found) {
        let Ok(record) = found else { return };
        let shard = self.shard(id).lock();
        if shard.epoch != ticket.epoch {
            return;
        }
        let cache = match record {
            Some(_) => &self.records,
            None => &self.absent,
        };
        let entry = Entry {
            record: record.clone(),
            generation: ticket.generation,
            asked_at: ticket.asked_at,
        };
        cache.insert(*id, entry);
    }

    pub(super) fn forget(&self, id: &TokenId) {
        self.counts.forgotten.fetch_add(1, Relaxed);
        let mut shard = self.shard(id).lock();
        shard.epoch = shard.epoch.wrapping_add(1);
        // Whoever asks from now on must not be told what was asked for before.
        shard.flights.remove(id);
        self.records.invalidate(id);
        self.absent.invalidate(id);
    }

    pub(super) fn flush(&self) {
        self.counts.flushes.fetch_add(1, Relaxed);
        self.generation.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.epoch = shard.epoch.wrapping_add(1);
            shard.flights.clear();
        }
        self.records.invalidate_all();
        self.absent.invalidate_all();
    }

    pub(super) fn revocation_bound(&self) -> Duration {
        Duration::from_nanos(self.bound)
    }

    pub(super) fn is_live(&self) -> bool {
        self.now() < self.live_until.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self) -> CacheStats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let left = self
            .live_until
            .load(Ordering::Acquire)
            .saturating_sub(self.now());
        // What was confirmed last is that much before the end of the lease.
        let lag = match left {
            0 => self.degraded_age,
            _ => self.bound.saturating_sub(left),
        };
        CacheStats {
            hits: count(&self.counts.hits),
            misses: count(&self.counts.misses),
            forgotten: count(&self.counts.forgotten),
            flushes: count(&self.counts.flushes),
            is_live: left > 0,
            revocation_bound: self.revocation_bound(),
            revocation_lag: Duration::from_nanos(lag),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.monotonic_nanos()
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder is below what it is the remainder of"
    )]
    pub(super) fn shard(&self, id: &TokenId) -> &Mutex<Shard> {
        let [.., last] = id.as_bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const SHARDS: usize = 64;
