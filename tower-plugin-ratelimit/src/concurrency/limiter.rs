use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use foldhash::{SharedSeed, fast::FixedState, quality::FoldHasher};

use super::{
    Concurrency,
    line::{Entry, Line},
};

/// Counts the requests in flight, by key.
///
/// Clones share the count, as do all services of a layer. A key is in memory while it has something in
/// flight and not longer.
///
/// ```
/// use tower_plugin_ratelimit::concurrency::{Concurrency, ConcurrencyLimiter};
///
/// let exports = ConcurrencyLimiter::new(Concurrency::per_key(1)?);
/// let permit = exports.try_acquire("tenant-7").expect("nothing is in flight");
/// assert!(exports.try_acquire("tenant-7").is_none());
/// assert!(exports.try_acquire("tenant-8").is_some());
/// drop(permit);
/// assert!(exports.try_acquire("tenant-7").is_some());
/// # Ok::<_, tower_plugin_ratelimit::concurrency::InvalidConcurrency>(())
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimiter(Arc<Shared>);

struct Shared {
    limit: Concurrency,
    shards: [Shard; SHARDS],
    /// Requests in flight or in line; only kept where there is a bound.
    total: AtomicUsize,
    seed: u64,
    shared_seed: SharedSeed,
}

#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    /// By keyed hash.
    lines: HashMap<u64, Line, FixedState>,
    next_ticket: u64,
}

/// What a request gets.
pub(super) enum Acquired {
    Permit(Permit),
    Ticket(Ticket),
    KeyIsFull,
    TotalIsFull,
}

impl ConcurrencyLimiter {
    /// A limiter with nothing in flight.
    #[must_use]
    pub fn new(limit: Concurrency) -> Self {
        let random = RandomState::new();
        Self(Arc::new(Shared {
            limit,
            shards: std::array::from_fn(|_| Shard::default()),
            total: AtomicUsize::new(0),
            seed: random.hash_one(0),
            shared_seed: SharedSeed::from_u64(random.hash_one(1)),
        }))
    }

    /// A permit for `key`, if one is free; it never waits.
    ///
    /// The key shares its permits with what a layer on this limiter keys by the same value.
    #[must_use]
    pub fn try_acquire(&self, key: impl Hash) -> Option<Permit> {
        let mut hasher = self.hasher();
        key.hash(&mut hasher);
        match self.acquire(hasher.finish(), 0) {
            Acquired::Permit(permit) => Some(permit),
            Acquired::Ticket(_) | Acquired::KeyIsFull | Acquired::TotalIsFull => None,
        }
    }

    /// What the limiter was told.
    #[must_use]
    pub fn limit(&self) -> &Concurrency {
        &self.0.limit
    }

    /// Figures for operators; goes through every key that has something in flight.
    #[must_use]
    pub fn stats(&self) -> ConcurrencyStats {
        let mut stats = ConcurrencyStats::default();
        for shard in &self.0.shards {
            let shard = shard.lock();
            stats.keys += shard.lines.len();
            for line in shard.lines.values() {
                stats.in_flight += line.in_flight() as usize;
                stats.waiting += line.waiting();
            }
        }
        stats
    }

    pub(super) fn hasher(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.0.seed, &self.0.shared_seed)
    }

    pub(super) fn acquire(&self, hash: u64, queue: u32) -> Acquired {
        if !self.0.enter_total() {
            return Acquired::TotalIsFull;
        }
        let (entry, ticket) = {
            let mut shard = self.0.shard(hash);
            let ticket = shard.next_ticket;
            shard.next_ticket += 1;
            let line = shard.lines.entry(hash).or_default();
            (line.enter(self.0.limit.max(), queue, ticket), ticket)
        };
        match entry {
            Entry::Admit => Acquired::Permit(self.permit(hash)),
            Entry::Wait => Acquired::Ticket(Ticket {
                limiter: self.clone(),
                hash,
                ticket,
                is_collected: false,
            }),
            Entry::Refuse => {
                self.0.leave_total();
                Acquired::KeyIsFull
            }
        }
    }

    fn permit(&self, hash: u64) -> Permit {
        Permit {
            limiter: self.clone(),
            hash,
        }
    }
}

impl Shared {
    /// The middle bits: the map goes by those at both ends.
    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder by the number of shards"
    )]
    fn shard(&self, hash: u64) -> MutexGuard<'_, Lines> {
        self.shards[(hash >> 32) as usize % SHARDS].lock()
    }

    /// Does something with the line of a key that has something in flight, and forgets it if that was
    /// the last.
    fn with_line<T: Default>(&self, hash: u64, act: impl FnOnce(&mut Line) -> T) -> T {
        let mut shard = self.shard(hash);
        let Some(line) = shard.lines.get_mut(&hash) else {
            return T::default();
        };
        let outcome = act(line);
        if line.in_flight() == 0 {
            shard.forget(hash);
        }
        outcome
    }

    fn enter_total(&self) -> bool {
        let max = self.limit.total();
        if max == usize::MAX {
            return true;
        }
        let more = |total: usize| (total < max).then_some(total + 1);
        self.total.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn leave_total(&self) {
        if self.limit.total() != usize::MAX {
            self.total.fetch_sub(1, Relaxed);
        }
    }
}

impl Shard {
    /// Nothing that is done under the lock can panic halfway.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// A peak is not paid for ever after: what it took is given back, at a cost that its own growth had.
    fn forget(&mut self, hash: u64) {
        self.lines.remove(&hash);
        let spare = self.lines.capacity() / 8;
        if spare > KEPT && self.lines.len() < spare {
            self.lines.shrink_to(2 * spare);
        }
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimiter")
            .field("limit", &self.0.limit)
            .finish_non_exhaustive()
    }
}

/// The right to be in flight. Dropped, it goes to whoever waits for it.
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    limiter: ConcurrencyLimiter,
    hash: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let shared = &*self.limiter.0;
        let next = shared.with_line(self.hash, Line::release);
        shared.leave_total();
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A place in the line. Dropped, it is given up, with the permit it may have been given.
pub(super) struct Ticket {
    limiter: ConcurrencyLimiter,
    hash: u64,
    ticket: u64,
    is_collected: bool,
}

impl Ticket {
    pub(super) fn poll_permit(&mut self, cx: &Context<'_>) -> Poll<Permit> {
        let waker = cx.waker().clone();
        let shared = &*self.limiter.0;
        let (is_given, _spent_waker) =
            shared.with_line(self.hash, |line| line.collect(self.ticket, waker));
        if !is_given {
            return Poll::Pending;
        }
        self.is_collected = true;
        Poll::Ready(self.limiter.permit(self.hash))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_collected {
            return;
        }
        let shared = &*self.limiter.0;
        let (next, _own_waker) = shared.with_line(self.hash, |line| line.leave(self.ticket));
        shared.leave_total();
        if let Some(next) = next {
            next.wake();
        }
    }
}

/// The figures of a [`ConcurrencyLimiter`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConcurrencyStats {
    /// Permits that are out.
    pub in_flight: usize,
    /// Keys that hold them.
    pub keys: usize,
    /// Requests in line.
    pub waiting: usize,
}

const SHARDS: usize = 64;
/// Eighths of a shard's capacity that are kept however empty it is.
const KEPT: usize = 64;
