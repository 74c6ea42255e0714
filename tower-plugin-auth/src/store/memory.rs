use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;

use super::{Cursor, Found, InsertError, List, Revocation, StoreError, TokenStore};
use crate::{
    Answer,
    config::InvalidConfig,
    token::{Record, TokenId},
};

mod records;

use records::{Shard, Sweep};

/// Keeps the records in this process, up to a fixed number.
///
/// Looking up takes one of many read locks and no write lock, and is answered at once. When the
/// capacity is reached, dead records make room for new ones; if there are none, inserting fails with
/// [`InsertError::Full`]: a live token is never dropped. There is no background task: call
/// [`Tokens::sweep`](crate::Tokens::sweep) now and then to return memory sooner.
///
/// Revoking by anything but ids, and listing, looks at every record, without keeping lookups waiting.
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
    /// Records kept; never above `capacity`.
    len: AtomicUsize,
    /// Held by whoever adds a record and by whoever revokes many. Lookups know nothing of it.
    writer: Mutex<()>,
    shards: Box<[Shard; SHARDS]>,
}

impl MemoryStore {
    /// A store for at most `capacity` records, of about 800 bytes each.
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
            writer: Mutex::new(()),
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
            records.values().filter(|r| r.is_live(now)).count()
        };
        self.shards.iter().map(live).sum()
    }

    pub(super) fn insert_now(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        let _writer = self.writer.lock();
        // Only who has the lock adds, so there is no more room than is seen here, though maybe less
        // is taken.
        if self.len.load(Ordering::Acquire) >= self.capacity && !self.make_room(now) {
            return Err(InsertError::Full);
        }
        // Counted in before it is there: it may be taken, and counted out, at once.
        self.len.fetch_add(1, Ordering::AcqRel);
        let inserted = self.shard(&record.id()).0.write().insert(record);
        if inserted.is_err() {
            self.len.fetch_sub(1, Ordering::AcqRel);
        }
        inserted
    }

    /// The dead that need not be remembered go first.
    fn make_room(&self, now: SystemTime) -> bool {
        let swept = |shard| self.sweep_shard(shard, now, Sweep::Forgettable) > 0;
        let pressed = |shard| self.sweep_shard(shard, now, Sweep::Dead) > 0;
        self.shards.iter().any(swept) || self.shards.iter().any(pressed)
    }

    fn sweep_shard(&self, shard: &Shard, now: SystemTime, what: Sweep) -> usize {
        if !shard.0.read().may_hold(what, now) {
            return 0;
        }
        let mut records = shard.0.write();
        let dropped = records.sweep(what, now);
        self.len.fetch_sub(dropped, Ordering::AcqRel);
        dropped
    }

    pub(super) fn update_now(&self, next: Record) -> bool {
        self.shard(&next.id()).0.write().update(next)
    }

    #[cfg(all(feature = "encrypted-file", unix))]
    pub(super) fn find(&self, id: &TokenId) -> Option<Arc<Record>> {
        self.shard(id).0.read().get(id)
    }

    #[cfg(all(feature = "encrypted-file", unix))]
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        let of = |shard: &Shard| shard.0.read().values().cloned().collect::<Vec<_>>();
        self.shards.iter().flat_map(of).collect()
    }

    pub(super) fn take_now(&self, id: &TokenId) -> Option<Arc<Record>> {
        let taken = self.shard(id).0.write().remove(id);
        if taken.is_some() {
            self.len.fetch_sub(1, Ordering::AcqRel);
        }
        taken
    }

    pub(super) fn revoke_now(&self, revocation: Revocation<'_>) -> u64 {
        // While this is held nothing is added, so what is revoked leaves no successor behind.
        let _writer = self.writer.lock();
        let revoked = |id: &TokenId| self.take_now(id).is_some();
        let count = match revocation {
            Revocation::Tokens(ids) => ids.iter().filter(|id| revoked(id)).count(),
            _ => self
                .shards
                .iter()
                .map(|shard| {
                    let covered = shard.0.read().ids(|record| revocation.covers(record));
                    covered.iter().filter(|id| revoked(id)).count()
                })
                .sum(),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    fn list_now(&self, list: &List<'_>) -> Vec<Arc<Record>> {
        let mut page = BTreeMap::new();
        for shard in self.shards.iter() {
            let records = shard.0.read();
            for record in records.values() {
                let cursor = Cursor::of(record);
                let is_full = page.len() == list.limit();
                let is_beyond = page
                    .last_key_value()
                    .is_some_and(|(last, _)| *last < cursor);
                if (is_full && is_beyond) || !list.matches(record) {
                    continue;
                }
                page.insert(cursor, Arc::clone(record));
                if is_full {
                    page.pop_last();
                }
            }
        }
        page.into_values().collect()
    }

    pub(super) fn sweep_now(&self, now: SystemTime) -> u64 {
        let sweep = |shard| self.sweep_shard(shard, now, Sweep::Forgettable);
        let dropped: usize = self.shards.iter().map(sweep).sum();
        u64::try_from(dropped).unwrap_or(u64::MAX)
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
        Answer::Ready(Ok(self.shard(id).0.read().get(id)))
    }

    fn insert(
        &self,
        record: Record,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertError>> + Send {
        ready(self.insert_now(record, now))
    }

    fn update(
        &self,
        next: Record,
        _now: SystemTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        ready(Ok(self.update_now(next)))
    }

    fn take(&self, id: &TokenId) -> impl Future<Output = Found> + Send {
        ready(Ok(self.take_now(id)))
    }

    fn revoke(
        &self,
        revocation: Revocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(Ok(self.revoke_now(revocation)))
    }

    fn list(
        &self,
        list: &List<'_>,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, StoreError>> + Send {
        ready(Ok(self.list_now(list)))
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(Ok(self.sweep_now(now)))
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

/// Enough that threads seldom meet, few enough that an empty store stays at a few kilobytes.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests;
