use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{Found, InsertError, List, MemoryStore, Revocation, StoreError, TokenStore};
use crate::{
    Answer,
    file::FileKeyRing,
    token::{Record, TokenId},
};

mod builder;
mod disk;
mod error;
mod json;
pub mod sealed;

pub use builder::EncryptedFileStoreBuilder;
pub use error::{FileError, FileErrorKind};

use disk::Disk;

/// Keeps the records in memory and in one encrypted file, for a service of one process that restarts
/// (Unix only).
///
/// Whatever changes is on disk before the call returns, but for the note that a token was used, which
/// waits for the next change: after a crash, a token may die of idleness sooner. Lookups are answered
/// from memory, at once. Each change writes the whole file, in a blocking task of the Tokio runtime:
/// good for some ten thousand tokens and some ten changes a second. Clones share the file.
///
/// The file is encrypted with AES-256-GCM under a [`FileKeyRing`], though what is in it is no secret to
/// begin with: digests, names and times. It is replaced as a whole (written beside, synced, renamed), so
/// a crash at any moment leaves the state before or after a change. Only its owner may read it: one
/// that others may read or write is refused. A second process is refused, too.
///
/// # What is noticed
///
/// A file that was changed, cut off, encrypted under another key or belongs to a store with another
/// [label](EncryptedFileStoreBuilder::with_label) does not open. Neither does an *older* file of this
/// very store, which would bring revoked tokens back to life: a second file, the
/// [anchor](EncryptedFileStoreBuilder::with_anchor), says how far the store had come. Who can put back
/// both at once, by restoring the whole disk, is not noticed; keep the anchor elsewhere, or compare the
/// [sequence](Self::sequence) with one of your own. After a failure of the disk nobody knows which of
/// the two states it holds; the next change that succeeds settles it.
///
/// ```
/// use tower_plugin_auth::store::{EncryptedFileStore, FileKey, FileKeyRing};
///
/// # let directory = std::env::temp_dir().join(format!("tower-plugin-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("tokens");
/// let keys = || FileKeyRing::new(FileKey::new(1, &[7; 32])?, []); // yours come from a secret store
/// let store = EncryptedFileStore::builder(&path, keys()?).with_label("my-host").create()?;
/// drop(store);
///
/// let elsewhere = EncryptedFileStore::builder(&path, keys()?).with_label("other-host").open();
/// assert!(elsewhere.is_err());
/// let store = EncryptedFileStore::builder(&path, keys()?).with_label("my-host").open()?;
/// # drop(store);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EncryptedFileStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    /// Held while something changes, on threads that may block.
    disk: Mutex<Disk>,
}

impl EncryptedFileStore {
    /// Starts from where the file is and the keys it is encrypted under.
    pub fn builder(path: impl AsRef<Path>, keys: FileKeyRing) -> EncryptedFileStoreBuilder {
        EncryptedFileStoreBuilder::new(path.as_ref(), keys)
    }

    fn new(memory: MemoryStore, disk: Disk) -> Self {
        Self(Arc::new(Inner {
            memory,
            disk: Mutex::new(disk),
        }))
    }

    /// How often the file has been written: it only ever grows. Waits for a change under way.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.0.disk.lock().sequence()
    }

    /// How many tokens are valid at `now`.
    #[must_use]
    pub fn len_live(&self, now: SystemTime) -> usize {
        self.0.memory.len_live(now)
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&MemoryStore, &mut Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
        let inner = Arc::clone(&self.0);
        let changing =
            runtime.spawn_blocking(move || change(&inner.memory, &mut inner.disk.lock()));
        changing.await.map_err(StoreError::unavailable)?
    }
}

impl TokenStore for EncryptedFileStore {
    type Lookup = std::future::Ready<Found>;

    fn get(&self, id: &TokenId) -> Answer<Found, Self::Lookup> {
        self.0.memory.get(id)
    }

    async fn insert(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        let inserted = self.change(move |memory, disk| {
            let id = record.id();
            if let Err(refused) = memory.insert_now(record, now) {
                return Ok(Err(refused));
            }
            // Nobody has the token before this has returned, so it may be there too early.
            if let Err(error) = disk.write(memory.all()) {
                memory.take_now(&id);
                return Err(error.into());
            }
            Ok(Ok(()))
        });
        inserted.await?
    }

    async fn update(&self, next: Record, _now: SystemTime) -> Result<bool, StoreError> {
        let update = move |memory: &MemoryStore, disk: &mut Disk| {
            let Some(kept) = memory.find(&next.id()) else {
                return Ok(false);
            };
            if kept.version().wrapping_add(1) != next.version() {
                return Ok(false);
            }
            if kept.successor() != next.successor() {
                let others = memory.all().into_iter().filter(|r| r.id() != next.id());
                disk.write(others.chain([Arc::new(next.clone())]))?;
            }
            Ok(memory.update_now(next))
        };
        self.change(update).await
    }

    async fn take(&self, id: &TokenId) -> Found {
        let id = *id;
        let take = move |memory: &MemoryStore, disk: &mut Disk| {
            if memory.find(&id).is_none() {
                return Ok(None);
            }
            disk.write(memory.all().into_iter().filter(|record| record.id() != id))?;
            Ok(memory.take_now(&id))
        };
        self.change(take).await
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        let of = Owned::from(revocation);
        let revoke = move |memory: &MemoryStore, disk: &mut Disk| {
            let revocation = of.borrow();
            let all = memory.all();
            let (covered, left): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|record| revocation.covers(record));
            if covered.is_empty() {
                return Ok(0);
            }
            disk.write(left)?;
            Ok(memory.revoke_now(revocation))
        };
        self.change(revoke).await
    }

    async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        self.0.memory.list(list).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        let sweep = move |memory: &MemoryStore, disk: &mut Disk| match memory.sweep_now(now) {
            0 => Ok(0),
            swept => {
                disk.write(memory.all())?;
                Ok(swept)
            }
        };
        self.change(sweep).await
    }
}

impl fmt::Debug for EncryptedFileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedFileStore")
            .field("memory", &self.0.memory)
            .finish_non_exhaustive()
    }
}

/// A [`Revocation`] for another thread.
enum Owned {
    Tokens(Vec<TokenId>),
    Family(TokenId),
    Subject { kind: String, subject: String },
    BegunBefore(SystemTime),
}

impl From<Revocation<'_>> for Owned {
    fn from(revocation: Revocation<'_>) -> Self {
        match revocation {
            Revocation::Tokens(ids) => Self::Tokens(ids.to_vec()),
            Revocation::Family(family) => Self::Family(family),
            Revocation::Subject { kind, subject } => Self::Subject {
                kind: kind.to_owned(),
                subject: subject.to_owned(),
            },
            Revocation::BegunBefore(instant) => Self::BegunBefore(instant),
        }
    }
}

impl Owned {
    fn borrow(&self) -> Revocation<'_> {
        match self {
            Self::Tokens(ids) => Revocation::Tokens(ids),
            Self::Family(family) => Revocation::Family(*family),
            Self::Subject { kind, subject } => Revocation::Subject { kind, subject },
            Self::BegunBefore(instant) => Revocation::BegunBefore(*instant),
        }
    }
}

#[cfg(test)]
mod tests;
