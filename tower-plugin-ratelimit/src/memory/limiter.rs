use std::{
    fmt,
    future::Ready,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, OnceLock},
    time::{Duration, UNIX_EPOCH},
};

use foldhash::{SharedSeed, quality::FoldHasher};
use tower_plugin_core::{Answer, Clock, SystemClock};

use super::{OnFull, Table};
use crate::{Cost, Decision, Limiter, Now, Operation, Policy, Unavailable};

/// A limiter in this process' memory, of a size that is fixed when it is built.
///
/// Clones share their state. Keys are not stored, only a fingerprint and a time for each, so a
/// million made-up keys neither make it grow nor take it longer; see [`Table`] for what happens when
/// it is full.
///
/// It counts for one process: behind a load balancer, N of them admit N times the quota. It starts
/// empty, so a restart forgives what was owed.
///
/// ```
/// use tower_plugin_ratelimit::{Cost, MemoryLimiter, Policy, Quota};
///
/// let limiter = MemoryLimiter::new(100_000)?;
/// let policy = Policy::from(Quota::per_minute(2)?);
///
/// assert!(limiter.check_key(&policy, "tenant-7", Cost::ONE).is_allowed());
/// assert!(limiter.check_key(&policy, "tenant-7", Cost::ONE).is_allowed());
/// assert!(!limiter.check_key(&policy, "tenant-7", Cost::ONE).is_allowed());
/// assert!(limiter.check_key(&policy, "tenant-8", Cost::ONE).is_allowed());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryLimiter<C = SystemClock> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    table: Table,
    clock: C,
    seed: u64,
}

impl MemoryLimiter {
    /// A limiter for up to `keys` keys that owe something at the same time, in 38.4 bytes each.
    ///
    /// A key with several quotas counts as several. At that fill, one in 200 keys finds its bucket
    /// full and is treated as [`OnFull`] says; with fewer keys it is rarer.
    ///
    /// # Errors
    ///
    /// [`InvalidCapacity`] if `keys` is not in 1 to 2^28.
    pub fn new(keys: usize) -> Result<Self, InvalidCapacity> {
        Self::with_clock(keys, OnFull::default(), SystemClock::new())
    }
}

/// A limiter for 65,536 keys.
impl Default for MemoryLimiter {
    fn default() -> Self {
        Self::sized(DEFAULT_KEYS, OnFull::default(), SystemClock::new())
    }
}

impl<C: Clock> MemoryLimiter<C> {
    /// A limiter with a clock and a choice of what to do when a bucket is full.
    ///
    /// # Errors
    ///
    /// See [`new`](MemoryLimiter::new).
    pub fn with_clock(keys: usize, on_full: OnFull, clock: C) -> Result<Self, InvalidCapacity> {
        slots_for(keys)?;
        Ok(Self::sized(keys, on_full, clock))
    }

    fn sized(keys: usize, on_full: OnFull, clock: C) -> Self {
        Self {
            shared: Arc::new(Shared {
                table: Table::new(keys * SLOTS_PER_KEY, on_full),
                clock,
                seed: RandomState::new().hash_one(0),
            }),
        }
    }

    /// Decides whether `key` may spend `cost` now, and debits it if so.
    ///
    /// For handlers that limit by something only they know. The key shares its quota with what a
    /// layer on a clone of this limiter keys by the same value under the same policy.
    #[inline]
    pub fn check_key(&self, policy: &Policy, key: impl Hash, cost: Cost) -> Decision {
        self.apply_key(policy, key, Operation::Check(cost))
    }

    /// Does something with the quotas of `key`, all of them or none, and says where it stands.
    #[inline]
    pub fn apply_key(&self, policy: &Policy, key: impl Hash, operation: Operation) -> Decision {
        let mut hasher = self.hasher(policy);
        key.hash(&mut hasher);
        self.decide(policy, &hasher, operation)
    }

    #[inline]
    fn decide(&self, policy: &Policy, key: &KeyHasher, operation: Operation) -> Decision {
        let Shared { table, clock, .. } = &*self.shared;
        table.apply(key.finish(), policy, || now(clock, policy), operation)
    }

    /// Figures for operators; walks the table.
    #[must_use]
    pub fn stats(&self) -> MemoryStats {
        let Shared { table, clock, .. } = &*self.shared;
        let now = clock.monotonic_nanos();
        MemoryStats {
            indebted: table.indebted(now),
            longest_debt: Duration::from_nanos(table.longest_debt(now)),
            forgotten: table.forgotten(),
            slots: table.slots(),
            bytes: table.bytes(),
        }
    }
}

#[cfg(feature = "metrics")]
impl MemoryStats {
    /// Sets gauges of the `metrics` facade, and the counter of what was forgotten, labelled with the limiter's
    /// name: call it when they are about to be read.
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record(&self, limiter: &'static str) {
        let set = |name: &'static str, value: f64| {
            metrics::gauge!(name, "limiter" => limiter).set(value);
        };
        set("tower_plugin_ratelimit_indebted", self.indebted as f64);
        metrics::counter!("tower_plugin_ratelimit_forgotten_total", "limiter" => limiter)
            .absolute(self.forgotten);
        set("tower_plugin_ratelimit_slots", self.slots as f64);
        set("tower_plugin_ratelimit_bytes", self.bytes as f64);
        set(
            "tower_plugin_ratelimit_longest_debt_seconds",
            self.longest_debt.as_secs_f64(),
        );
    }
}

impl<C: Clock> Limiter for MemoryLimiter<C> {
    type Hasher = KeyHasher;
    /// Never used: the answer is always there.
    type Future = Ready<Result<Decision, Unavailable>>;

    #[inline]
    fn hasher(&self, policy: &Policy) -> KeyHasher {
        let seed = self.shared.seed ^ policy.id();
        KeyHasher(FoldHasher::with_seed(seed, process_seed()))
    }

    #[inline]
    fn apply(
        &self,
        policy: &Policy,
        key: KeyHasher,
        operation: Operation,
    ) -> Answer<Result<Decision, Unavailable>, Self::Future> {
        Answer::Ready(Ok(self.decide(policy, &key, operation)))
    }
}

/// Reads the wall clock only for a calendar.
#[inline]
fn now(clock: &impl Clock, policy: &Policy) -> Now {
    let monotonic = clock.monotonic_nanos();
    let wall = if policy.has_calendar() {
        let since_epoch = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
    } else {
        0
    };
    Now { monotonic, wall }
}

impl<C> Clone for MemoryLimiter<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C> fmt::Debug for MemoryLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLimiter")
            .field("slots", &self.shared.table.slots())
            .finish_non_exhaustive()
    }
}

/// The figures of a [`MemoryLimiter`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Slots that owe something: one for each key and quota.
    pub indebted: usize,
    /// How long the longest debt takes to drain.
    pub longest_debt: Duration,
    /// Debts that were forgotten because their bucket was full.
    pub forgotten: u64,
    /// Slots there are.
    pub slots: usize,
    /// Bytes the table takes, now and ever.
    pub bytes: usize,
}

/// Takes in what identifies a caller, under a seed drawn at random for each process.
#[derive(Clone)]
pub struct KeyHasher(FoldHasher<'static>);

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

macro_rules! forward {
    ($($method:ident($type:ty)),*) => {
        $(#[inline]
        fn $method(&mut self, value: $type) {
            self.0.$method(value);
        })*
    };
}

impl Hasher for KeyHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    forward!(
        write(&[u8]),
        write_u8(u8),
        write_u16(u16),
        write_u32(u32),
        write_u64(u64),
        write_u128(u128),
        write_usize(usize)
    );
}

/// A capacity that is out of range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidCapacity {
    keys: usize,
}

impl fmt::Display for InvalidCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys } = self;
        write!(
            f,
            "memory limiter: keys must be in 1 to {MAX_KEYS}, not {keys}"
        )
    }
}

impl std::error::Error for InvalidCapacity {}

/// How many slots so many keys want.
pub(crate) const fn slots_for(keys: usize) -> Result<usize, InvalidCapacity> {
    if keys == 0 || keys > MAX_KEYS {
        return Err(InvalidCapacity { keys });
    }
    Ok(keys * SLOTS_PER_KEY)
}

/// Drawn from the operating system once; `RandomState` is the standard library's way to do that.
fn process_seed() -> &'static SharedSeed {
    static SEED: OnceLock<SharedSeed> = OnceLock::new();
    SEED.get_or_init(|| SharedSeed::from_u64(RandomState::new().hash_one(1)))
}

const DEFAULT_KEYS: usize = 1 << 16;
const MAX_KEYS: usize = 1 << 28;
/// A table one third full rarely has more keys in a bucket than the bucket has slots.
const SLOTS_PER_KEY: usize = 3;

#[cfg(test)]
mod tests;
