//! The files on disk: the records, the anchor, and a lock that keeps others out.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    error::{FileError, FileErrorKind},
    sealed::{self, FileKind, Head},
};
use crate::{
    file::{self, FileKeyRing},
    token::{Record, Rng},
};

/// Where everything is, and what it is written with.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) anchor: PathBuf,
    pub(super) label: String,
    pub(super) keys: FileKeyRing,
    pub(super) rng: Arc<dyn Rng>,
}

pub(super) struct Disk {
    place: Place,
    store_id: [u8; 16],
    /// What is on disk: this one, or, where writing has failed, any up to the one tried last.
    sequence: u64,
    tried: u64,
    /// Released when it is closed, whatever ends the process.
    _lock: File,
}

impl Disk {
    /// A store that does not exist yet.
    pub(super) fn create(place: Place, records: &[Arc<Record>]) -> Result<Self, FileError> {
        let lock = file::lock(&place.path)?;
        // An anchor without its store: the store is gone, and that is not to be papered over.
        if place.path.try_exists()? || place.anchor.try_exists()? {
            return Err(FileError::new(FileErrorKind::AlreadyExists));
        }
        let mut store_id = [0; 16];
        place.rng.fill(&mut store_id)?;
        let mut disk = Self {
            place,
            store_id,
            sequence: 0,
            tried: 0,
            _lock: lock,
        };
        disk.replace(records.iter().map(Arc::as_ref))?;
        Ok(disk)
    }

    /// A store that exists, and its records.
    pub(super) fn open(place: Place) -> Result<(Self, Vec<Record>), FileError> {
        let lock = file::lock(&place.path)?;
        let (head, records) = place.read(FileKind::Records)?;
        let (anchor, _) = place.read(FileKind::Anchor)?;
        // A crash after a write leaves an anchor that is behind, never one that is ahead.
        if anchor.store_id() != head.store_id() || anchor.sequence() > head.sequence() {
            return Err(FileError::new(FileErrorKind::RolledBack));
        }
        let mut disk = Self {
            place,
            store_id: head.store_id(),
            sequence: head.sequence(),
            tried: head.sequence(),
            _lock: lock,
        };
        let is_behind = anchor.sequence() < head.sequence();
        let of_old_key = |head: &Head| head.key_version() != disk.place.keys.active();
        if is_behind || of_old_key(&head) || of_old_key(&anchor) {
            disk.replace(&records)?;
        }
        Ok((disk, records))
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Puts these records in the place of those on disk.
    pub(super) fn write(
        &mut self,
        records: impl IntoIterator<Item = Arc<Record>>,
    ) -> Result<(), FileError> {
        let mut head = Vec::with_capacity(64);
        let kept = open(&self.place.path)?;
        kept.take(64).read_to_end(&mut head)?;
        let is_ours = Head::peek(&head).is_some_and(|head| {
            head.store_id() == self.store_id
                && (self.sequence..=self.tried).contains(&head.sequence())
        });
        // Somebody has put another file in its place while we were running.
        if !is_ours {
            return Err(FileError::new(FileErrorKind::RolledBack));
        }
        let records: Vec<_> = records.into_iter().collect();
        self.replace(records.iter().map(Arc::as_ref))
    }

    fn replace<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<(), FileError> {
        let Place {
            path,
            anchor,
            label,
            keys,
            rng,
        } = &self.place;
        self.tried += 1;
        let head = |kind| Head::new(kind, self.store_id, self.tried);
        let records = sealed::seal(keys, label, head(FileKind::Records), records, rng)?;
        let mark = sealed::seal(keys, label, head(FileKind::Anchor), [], rng)?;
        file::replace(path, &records, true)?;
        // Afterwards: ahead of its store it would call a crash a crime.
        file::replace(anchor, &mark, true)?;
        self.sequence = self.tried;
        Ok(())
    }
}

impl Place {
    fn read(&self, kind: FileKind) -> Result<(Head, Vec<Record>), FileError> {
        let path = match kind {
            FileKind::Anchor => &self.anchor,
            FileKind::Records => &self.path,
        };
        let mut bytes = Vec::new();
        open(path)?.read_to_end(&mut bytes)?;
        let (head, records) = sealed::open(&self.keys, &self.label, &bytes)?;
        match head.kind() == kind {
            true => Ok((head, records)),
            false => Err(sealed::InvalidFile::Altered.into()),
        }
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    Ok(file::open(path, OpenOptions::new().read(true))?)
}
