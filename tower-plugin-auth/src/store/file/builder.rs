use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    EncryptedFileStore,
    disk::{Disk, Place},
    error::FileError,
    json,
};
use crate::{
    config::InvalidConfig,
    file::{FileKeyRing, beside},
    random::SystemRng,
    store::MemoryStore,
    token::{Record, Rng},
};

/// Settings of an [`EncryptedFileStore`], and the ways to get one.
#[must_use]
pub struct EncryptedFileStoreBuilder {
    path: PathBuf,
    anchor: Option<PathBuf>,
    label: String,
    keys: FileKeyRing,
    capacity: usize,
    rng: Arc<dyn Rng>,
}

impl EncryptedFileStoreBuilder {
    pub(super) fn new(path: &Path, keys: FileKeyRing) -> Self {
        Self {
            path: path.to_owned(),
            anchor: None,
            label: String::new(),
            keys,
            capacity: 10_000,
            rng: Arc::new(SystemRng),
        }
    }

    /// What the store is for. A file opens only under the label it was made under, so nobody can pass
    /// one store's file off as another's. Empty by default, at most 256 bytes.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Where the anchor is, which tells an old file from the current one: beside the file, with
    /// `.anchor` added to its name, by default. Best on another disk.
    pub fn with_anchor(mut self, path: impl Into<PathBuf>) -> Self {
        self.anchor = Some(path.into());
        self
    }

    /// The most records it holds: 10,000 by default.
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Where nonces get their randomness, instead of the operating system.
    pub fn with_rng(mut self, rng: impl Rng + 'static) -> Self {
        self.rng = Arc::new(rng);
        self
    }

    /// Makes a new store. It blocks on the disk: call it before serving.
    ///
    /// # Errors
    ///
    /// [`FileError`] if there is a file or an anchor already, or none can be made.
    pub fn create(self) -> Result<EncryptedFileStore, FileError> {
        self.create_with(&[])
    }

    /// Opens a store that exists, under whatever key of the ring it was written, and writes it anew if
    /// that was not the active one. It blocks on the disk: call it before serving.
    ///
    /// A file in clear is refused, whoever has put it there: see [`import`](Self::import).
    ///
    /// # Errors
    ///
    /// [`FileError`] says what is wrong with the file. A store that is gone is not taken for an empty
    /// one.
    pub fn open(self) -> Result<EncryptedFileStore, FileError> {
        let memory = self.memory()?;
        let (disk, records) = Disk::open(self.place()?)?;
        fill(&memory, records)?;
        Ok(EncryptedFileStore::new(memory, disk))
    }

    /// Makes a new store of records in clear. Remove the file they came from afterwards.
    ///
    /// ```json
    /// {
    ///   "format": "tower-plugin-tokens-1",
    ///   "records": [{
    ///     "id": "000102030405060708090a0b0c0d0e0f",
    ///     "kind": "runtime",
    ///     "key_version": 1,
    ///     "verifier": "base64url, unpadded, of the 32 bytes of HMAC-SHA256",
    ///     "principal": {
    ///       "kind": "runtime", "subject": "cache-7f3a", "attributes": {"plan": "gold"}
    ///     },
    ///     "issued_at": 1893456000,
    ///     "expires_at": 1893542400
    ///   }]
    /// }
    /// ```
    ///
    /// `kind` is `runtime`, `grant` or `one_time`; times are seconds since 1970. Anything else is
    /// refused, and so is a repeated id.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and if the text is not of this form.
    pub fn import(self, json: &[u8]) -> Result<EncryptedFileStore, FileError> {
        let records: Vec<_> = json::read(json)?.into_iter().map(Arc::new).collect();
        self.create_with(&records)
    }

    fn create_with(self, records: &[Arc<Record>]) -> Result<EncryptedFileStore, FileError> {
        let memory = self.memory()?;
        fill(&memory, records.iter().map(|record| (**record).clone()))?;
        let disk = Disk::create(self.place()?, records)?;
        Ok(EncryptedFileStore::new(memory, disk))
    }

    fn memory(&self) -> Result<MemoryStore, FileError> {
        if self.label.len() > 256 {
            return Err(InvalidConfig::new("label", "at most 256 bytes").into());
        }
        Ok(MemoryStore::new(self.capacity)?)
    }

    fn place(self) -> Result<Place, FileError> {
        let anchor = self.anchor.unwrap_or_else(|| beside(&self.path, ".anchor"));
        if anchor == self.path {
            return Err(InvalidConfig::new("anchor", "another file than the store's").into());
        }
        Ok(Place {
            anchor,
            path: self.path,
            label: self.label,
            keys: self.keys,
            rng: self.rng,
        })
    }
}

/// Nothing is dropped to make room: what does not fit is an error of whoever set the capacity.
fn fill(memory: &MemoryStore, records: impl IntoIterator<Item = Record>) -> Result<(), FileError> {
    let too_small = InvalidConfig::new("capacity", "at least the number of records in the file");
    for record in records {
        let inserted = memory.insert_now(record, SystemTime::UNIX_EPOCH);
        inserted.map_err(|_| too_small)?;
    }
    Ok(())
}

impl fmt::Debug for EncryptedFileStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedFileStoreBuilder")
            .field("path", &self.path)
            .field("anchor", &self.anchor)
            .field("label", &self.label)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
