use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use ::governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use crate::{InvalidCapacity, InvalidQuota, OnFull, Quota, Table, memory};

/// Keeps the state of a [`governor::RateLimiter`] in memory of a fixed size.
///
/// governor's own keyed stores grow with every key and have to be swept. This one is a [`Table`]: all
/// of it is allocated when it is built, and when it is full it forgets whoever owes least. What owes
/// nothing any more is overwritten, so there is nothing to sweep;
/// [`retain_recent`](::governor::RateLimiter::retain_recent) only sets from when on keys are counted.
///
/// A store belongs to one limiter: governor counts time from when a limiter was made, so two of them
/// would misread each other.
///
/// ```
/// use std::time::Instant;
/// use governor::{Quota, RateLimiter, clock::MonotonicClock, middleware::NoOpMiddleware};
/// use tower_plugin_ratelimit::GovernorStore;
///
/// let quota = Quota::per_minute(2.try_into()?);
/// let store = GovernorStore::<&str>::new(100_000)?;
/// type Limiter<K> = RateLimiter<K, GovernorStore<K>, MonotonicClock, NoOpMiddleware<Instant>>;
/// let limiter = Limiter::new(quota, store, MonotonicClock);
///
/// assert!(limiter.check_key(&"tenant-7").is_ok());
/// assert!(limiter.check_key(&"tenant-7").is_ok());
/// assert!(limiter.check_key(&"tenant-7").is_err());
/// assert!(limiter.check_key(&"tenant-8").is_ok());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct GovernorStore<K, S = RandomState> {
    table: Table,
    hasher: S,
    /// Keys that owe nothing beyond this time are not counted.
    retained_since: AtomicU64,
    key: PhantomData<fn(&K)>,
}

impl<K> GovernorStore<K> {
    /// A store for up to `keys` keys that owe something at the same time, in 38.4 bytes each.
    ///
    /// # Errors
    ///
    /// [`InvalidCapacity`] if `keys` is not in 1 to 2^28.
    pub fn new(keys: usize) -> Result<Self, InvalidCapacity> {
        Self::with_hasher(keys, RandomState::new())
    }
}

impl<K, S: BuildHasher> GovernorStore<K, S> {
    /// A store with a hasher of your choice; one that outsiders can predict lets them aim at a bucket.
    ///
    /// # Errors
    ///
    /// See [`new`](GovernorStore::new).
    pub fn with_hasher(keys: usize, hasher: S) -> Result<Self, InvalidCapacity> {
        Ok(Self {
            table: Table::new(memory::slots_for(keys)?, OnFull::Forget),
            hasher,
            retained_since: AtomicU64::new(0),
            key: PhantomData,
        })
    }

    /// How many bytes the store takes, now and ever.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

impl<K: Hash, S: BuildHasher> StateStore for GovernorStore<K, S> {
    type Key = K;

    /// The closure runs outside the bucket's lock: it may be slow, panic, or ask this store.
    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let hash = self.hasher.hash_one(key);
        let mut known = self.table.state(hash);
        loop {
            let (outcome, next) = f((known != 0).then(|| known.into()))?;
            let found = self.table.compare_exchange(hash, known, next.into());
            if found == known {
                return Ok(outcome);
            }
            known = found;
        }
    }
}

impl<K, S> ShrinkableKeyedStateStore<K> for GovernorStore<K, S>
where
    K: Clone + Eq + Hash,
    S: BuildHasher,
{
    fn retain_recent(&self, drop_below: Nanos) {
        self.retained_since.fetch_max(drop_below.as_u64(), Relaxed);
    }

    /// Walks the table. Keys whose slot was taken over are not counted.
    fn len(&self) -> usize {
        self.table.indebted(self.retained_since.load(Relaxed))
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, S> fmt::Debug for GovernorStore<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GovernorStore")
            .field("slots", &self.table.slots())
            .finish_non_exhaustive()
    }
}

/// The same time for a unit to come back and the same burst.
///
/// Not `From`, because governor takes quotas that nothing can keep: its times wrap where a spent quota
/// takes more than 584 years to come back, and its constructors do not say so.
///
/// ```
/// use tower_plugin_ratelimit::Quota;
///
/// let theirs = governor::Quota::per_minute(6.try_into()?).allow_burst(10.try_into()?);
/// assert_eq!(Quota::try_from(theirs)?, "6/m:10".parse()?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`InvalidQuota`] if a unit takes longer than 366 days to come back, or a spent quota more than 146
/// years.
impl TryFrom<::governor::Quota> for Quota {
    type Error = InvalidQuota;

    fn try_from(quota: ::governor::Quota) -> Result<Self, InvalidQuota> {
        // governor too takes an interval below a nanosecond, which it cannot keep, for one.
        let interval = quota.replenish_interval().max(Duration::from_nanos(1));
        let (count, period) = told(interval);
        Self::with_period(count, period)?.allow_burst(quota.burst_size().get())
    }
}

/// As people would say it where the interval is a part of a second, minute, hour or day; else so that
/// the period is one a quota may have.
fn told(interval: Duration) -> (u32, Duration) {
    let interval = interval.as_nanos();
    let usual = [1, 60, 3600, 86_400].map(Duration::from_secs);
    let fitting = usual.into_iter().find_map(|period| {
        let nanos = period.as_nanos();
        let count = u32::try_from(nanos / interval).ok()?;
        (count > 0 && nanos.is_multiple_of(interval)).then_some((count, period))
    });
    fitting.unwrap_or_else(|| {
        let count = MIN_PERIOD.div_ceil(interval);
        let period = u64::try_from(count * interval).unwrap_or(u64::MAX);
        // A million at most.
        (count as u32, Duration::from_nanos(period))
    })
}

/// In nanoseconds.
const MIN_PERIOD: u128 = 1_000_000;
