use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::{Future, Ready, ready},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use parking_lot::RwLock;

use super::{Found, InsertError, StoreError, TokenStore};
use crate::{
    Answer,
    config::InvalidConfig,
    token::{Record, TokenId},
};

/// Keeps the records in this process, up to a fixed number.
///
/// Looking up takes one of many read locks and no write lock, and is answered at once. When the
/// capacity is reached, expired records make room for new ones; if there are none, inserting fails with
/// [`InsertError::Full`]: a live token is never dropped. There is no background task: call
/// [`sweep`](Self::sweep) now and then to return memory sooner.
///
/// All is forgotten when the process ends, and other processes know nothing of it.
///
/// ```
/// use tower_plugin_auth::MemoryStore;
///
/// let store = MemoryStore::new(10_000)?;
/// assert_eq!(store.capacity(), 10_000);
/// assert_eq!(
///     MemoryStore::new(0).unwrap_err().to_string(),
///     "capacity must be at least 1",
/// );
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
pub struct MemoryStore {
    capacity: usize,
    /// Records kept and about to be kept; never above `capacity`.
    len: AtomicUsize,
    shards: Box<[Shard; SHARDS]>,
}

impl MemoryStore {
    /// A store for at most `capacity` records, of about 400 bytes each.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if `capacity` is 0.
    pub fn new(capacity: usize) -> Result<Self, InvalidConfig> {
        if capacity == 0 {
            return Err(InvalidConfig::new("capacity", "at least 1"));
        }
        Ok(Self {
            capacity,
            len: AtomicUsize::new(0),
            shards: Box::new(std::array::from_fn(|_| Shard::default())),
        })
    }

    /// The most records it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many tokens are valid at `now`. Counts them: for a status page, not for every request.
    #[must_use]
    pub fn len_live(&self, now: SystemTime) -> usize {
        let live = |shard: &Shard| {
            let records = shard.0.read();
            records.by_id.values().filter(|r| r.is_live(now)).count()
        };
        self.shards.iter().map(live).sum()
    }

    /// Drops the records that have expired by `now`; how many there were.
    ///
    /// It locks one small part of the store at a time, and only parts that hold something expired.
    pub fn sweep(&self, now: SystemTime) -> usize {
        self.shards
            .iter()
            .map(|shard| self.sweep_shard(shard, now))
            .sum()
    }

    fn sweep_shard(&self, shard: &Shard, now: SystemTime) -> usize {
        if !shard.0.read().may_hold_expired(now) {
            return 0;
        }
        let mut records = shard.0.write();
        let dropped = records.sweep(now);
        // Before the lock is released: who then finds nothing to sweep here finds the room made.
        self.len.fetch_sub(dropped, Ordering::AcqRel);
        dropped
    }

    /// Counts a record in before it is there, so that two inserts cannot share the last place.
    fn reserve(&self, now: SystemTime) -> Result<(), InsertError> {
        while !self.try_reserve() {
            let swept = |shard| self.sweep_shard(shard, now) > 0;
            // Where nothing was left to sweep, somebody else may have made room meanwhile.
            if !self.shards.iter().any(swept) {
                return self.try_reserve().then_some(()).ok_or(InsertError::Full);
            }
        }
        Ok(())
    }

    fn try_reserve(&self) -> bool {
        let more = |len: usize| (len < self.capacity).then_some(len + 1);
        self.len
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    fn insert_now(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        self.reserve(now)?;
        let inserted = self.shard(&record.id()).0.write().insert(record);
        if inserted.is_err() {
            self.len.fetch_sub(1, Ordering::AcqRel);
        }
        inserted
    }

    fn revoke_now(&self, id: &TokenId) -> bool {
        let revoked = self.shard(id).0.write().by_id.remove(id).is_some();
        if revoked {
            self.len.fetch_sub(1, Ordering::AcqRel);
        }
        revoked
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder is below what it is the remainder of"
    )]
    fn shard(&self, id: &TokenId) -> &Shard {
        // The last byte, because the hash is the first eight.
        let [.., last] = id.as_bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }
}

impl TokenStore for MemoryStore {
    type Lookup = Ready<Found>;

    fn get(&self, id: &TokenId) -> Answer<Found, Self::Lookup> {
        Answer::Ready(Ok(self.shard(id).0.read().by_id.get(id).cloned()))
    }

    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        ready(self.insert_now(record, now))
    }

    fn revoke(&self, id: &TokenId) -> impl Future<Output = Result<bool, StoreError>> + Send {
        ready(Ok(self.revoke_now(id)))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .field("len", &self.len.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// On cache lines of its own, so that readers of one shard do not slow down those of the next.
#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<Records>);

#[derive(Default)]
struct Records {
    by_id: HashMap<TokenId, Arc<Record>, BuildHasherDefault<IdHasher>>,
    /// No record here expires earlier; `None` when nothing was inserted since it was empty.
    earliest_expiry: Option<SystemTime>,
}

impl Records {
    fn insert(&mut self, record: Record) -> Result<(), InsertError> {
        match self.by_id.entry(record.id()) {
            Entry::Occupied(_) => Err(InsertError::AlreadyExists),
            Entry::Vacant(place) => {
                let expires_at = record.expires_at();
                place.insert(Arc::new(record));
                self.earliest_expiry = Some(
                    self.earliest_expiry
                        .map_or(expires_at, |earliest| earliest.min(expires_at)),
                );
                Ok(())
            }
        }
    }

    fn may_hold_expired(&self, now: SystemTime) -> bool {
        self.earliest_expiry.is_some_and(|earliest| earliest <= now)
    }

    fn sweep(&mut self, now: SystemTime) -> usize {
        let before = self.by_id.len();
        self.by_id.retain(|_, record| record.is_live(now));
        self.earliest_expiry = self.by_id.values().map(|r| r.expires_at()).min();
        before - self.by_id.len()
    }
}

/// Takes the hash from the id itself. Ids in the map are random and ours; one that a caller makes up is
/// only ever looked up, so it can lengthen no chain.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_ne_bytes(*first);
        }
    }

    /// The length of an id is always the same.
    fn write_usize(&mut self, _len: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Enough that threads seldom meet, few enough that an empty store stays at a few kilobytes.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests;
