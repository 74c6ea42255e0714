use std::{
    collections::HashMap,
    fmt,
    future::{Future, Ready, ready},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::{Mutex, RwLock};

use super::{Counted, Covers, FoundGrant, GrantRevocation, GrantStore, InsertGrantError};
use crate::{
    Answer,
    config::InvalidConfig,
    grant::{GrantRecord, Uses},
    store::StoreError,
    token::TokenId,
};

mod kept;

use kept::Kept;

/// Keeps the grants in this process, up to a fixed number.
///
/// Looking up takes one of many read locks, counting a use one of many write locks for as long as it takes to count,
/// and both are answered at once. When the capacity is reached, expired grants make room for new ones; if there are
/// none, inserting fails with [`InsertGrantError::Full`]: a live grant is never dropped. There is no background
/// task: call [`CapabilityBroker::sweep`](crate::CapabilityBroker::sweep) now and then to return memory sooner.
///
/// All is forgotten when the process ends, and other processes know nothing of it.
///
/// ```
/// use tower_plugin_auth::store::MemoryGrantStore;
///
/// let store = MemoryGrantStore::new(10_000)?;
/// assert_eq!(store.capacity(), 10_000);
/// assert!(MemoryGrantStore::new(0).is_err());
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
pub struct MemoryGrantStore {
    capacity: usize,
    /// Held by whoever adds or removes. Whoever looks up or counts knows nothing of it.
    book: Mutex<Book>,
    shards: Box<[Shard; SHARDS]>,
}

/// Which grants there are, and whose they are.
#[derive(Default)]
struct Book {
    len: usize,
    of_owners: HashMap<(Box<str>, Box<str>), Vec<TokenId>>,
    /// None ends before this; `None` while there is none.
    earliest_end: Option<SystemTime>,
}

#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<HashMap<TokenId, Kept>>);

impl MemoryGrantStore {
    /// A store for at most `capacity` grants.
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
            book: Mutex::default(),
            shards: Box::new(std::array::from_fn(|_| Shard::default())),
        })
    }

    /// The most grants it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many it holds, expired ones that were not swept yet among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.book.lock().len
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert_now(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> Result<(), InsertGrantError> {
        let mut book = self.book.lock();
        if self.with(&record.id(), |_| ()).is_some() {
            return Err(InsertGrantError::AlreadyExists);
        }
        let owner = owner_of(&record);
        // His own dead first: nobody lets others pay for what he has asked for.
        let own = book.of_owners.get(&owner);
        if own.is_some_and(|own| own.len() >= max_per_principal) {
            let own = own.cloned().unwrap_or_default();
            self.remove(&mut book, &own, |record| record.expires_at() <= now);
            let left = book.of_owners.get(&owner).map_or(0, Vec::len);
            if left >= max_per_principal {
                return Err(InsertGrantError::FullForPrincipal);
            }
        }
        if book.len >= self.capacity && self.sweep_book(&mut book, now) == 0 {
            return Err(InsertGrantError::Full);
        }
        let end = record.expires_at();
        book.earliest_end = Some(book.earliest_end.map_or(end, |earliest| earliest.min(end)));
        book.of_owners.entry(owner).or_default().push(record.id());
        book.len += 1;
        let id = record.id();
        self.shard(&id).0.write().insert(id, Kept::new(record));
        Ok(())
    }

    /// Removes those of these grants that `covers` says; how many.
    fn remove(
        &self,
        book: &mut Book,
        ids: &[TokenId],
        covers: impl Fn(&GrantRecord) -> bool,
    ) -> usize {
        let mut count = 0;
        for id in ids {
            let mut shard = self.shard(id).0.write();
            if !shard.get(id).is_some_and(|kept| covers(&kept.record)) {
                continue;
            }
            let Some(kept) = shard.remove(id) else {
                continue;
            };
            count += 1;
            book.len = book.len.saturating_sub(1);
            let owner = owner_of(&kept.record);
            if let Some(own) = book.of_owners.get_mut(&owner) {
                own.retain(|one| one != id);
                if own.is_empty() {
                    book.of_owners.remove(&owner);
                }
            }
        }
        count
    }

    fn sweep_book(&self, book: &mut Book, now: SystemTime) -> usize {
        // Whoever asks for more than there is room for makes nobody look for the dead again and again.
        if book.earliest_end.is_none_or(|earliest| now < earliest) {
            return 0;
        }
        let (mut dead, mut earliest) = (Vec::new(), None::<SystemTime>);
        for shard in self.shards.iter() {
            for (id, kept) in shard.0.read().iter() {
                let end = kept.record.expires_at();
                if end <= now {
                    dead.push(*id);
                } else {
                    earliest = Some(earliest.map_or(end, |earliest| earliest.min(end)));
                }
            }
        }
        book.earliest_end = earliest;
        self.remove(book, &dead, |_| true)
    }

    fn revoke_now(&self, revocation: GrantRevocation<'_>) -> usize {
        // While this is held nothing is added.
        let mut book = self.book.lock();
        match revocation {
            GrantRevocation::Capability(capability) => {
                let mut ids = Vec::new();
                for shard in self.shards.iter() {
                    ids.extend(shard.0.read().keys());
                }
                self.remove(&mut book, &ids, |record| record.capability() == capability)
            }
            GrantRevocation::Grant(id) => self.remove(&mut book, &[id], |_| true),
            GrantRevocation::Subject { kind, subject } => {
                let owner = (kind.into(), subject.into());
                let own = book.of_owners.get(&owner).cloned().unwrap_or_default();
                self.remove(&mut book, &own, |_| true)
            }
            GrantRevocation::Link { grant, link } => {
                let noted = self.with(&grant, |kept| kept.note_revoked(link));
                match noted {
                    None => 0,
                    Some(true) => 1,
                    Some(false) => self.remove(&mut book, &[grant], |_| true),
                }
            }
        }
    }

    fn revoke_where_now(&self, covers: Covers<'_>) -> usize {
        // Somebody else's closure is not to run under a lock.
        let mut records = Vec::new();
        for shard in self.shards.iter() {
            let shard = shard.0.read();
            records.extend(shard.values().map(|kept| Arc::clone(&kept.record)));
        }
        records.retain(|record| covers(record));
        let ids: Vec<_> = records.iter().map(|record| record.id()).collect();
        self.remove(&mut self.book.lock(), &ids, |_| true)
    }

    fn count_now(&self, id: &TokenId, uses: &Uses) -> Counted {
        self.with(id, |kept| kept.count(uses))
            .unwrap_or(Counted::Gone)
    }

    fn with<T>(&self, id: &TokenId, work: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        self.shard(id).0.write().get_mut(id).map(work)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder is below what it is the remainder of"
    )]
    fn shard(&self, id: &TokenId) -> &Shard {
        let [.., last] = id.as_bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }
}

impl GrantStore for MemoryGrantStore {
    type Lookup = Ready<FoundGrant>;
    type Using = Ready<Result<Counted, StoreError>>;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup> {
        let shard = self.shard(id).0.read();
        let record = shard.get(id).map(|kept| Arc::clone(&kept.record));
        Answer::Ready(Ok(record))
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Self::Using> {
        Answer::Ready(Ok(self.count_now(id, uses)))
    }

    fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> impl Future<Output = Result<(), InsertGrantError>> + Send {
        ready(self.insert_now(record, max_per_principal, now))
    }

    fn revoke(
        &self,
        revocation: GrantRevocation<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let count = self.revoke_now(revocation);
        ready(Ok(u64::try_from(count).unwrap_or(u64::MAX)))
    }

    fn revoke_where(
        &self,
        covers: Covers<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let count = self.revoke_where_now(covers);
        ready(Ok(u64::try_from(count).unwrap_or(u64::MAX)))
    }

    fn sweep(&self, now: SystemTime) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let count = self.sweep_book(&mut self.book.lock(), now);
        ready(Ok(u64::try_from(count).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for MemoryGrantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryGrantStore")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn owner_of(record: &GrantRecord) -> (Box<str>, Box<str>) {
    let owner = record.principal();
    (owner.kind().into(), owner.subject().into())
}

/// Enough that threads seldom meet.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests;
