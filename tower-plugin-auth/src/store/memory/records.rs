use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::RwLock;

use crate::{
    store::InsertError,
    token::{Record, TokenId},
};

/// On cache lines of its own, so that readers of one shard do not slow down those of the next.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shard(pub(super) RwLock<Records>);

#[derive(Default)]
pub(super) struct Records {
    by_id: HashMap<TokenId, Arc<Record>, BuildHasherDefault<IdHasher>>,
    /// No record here may be forgotten earlier, and none that is kept as live dies earlier; `None` when
    /// nothing was added since there was none. They may lag behind a record that lives on.
    earliest: [Option<SystemTime>; 2],
}

/// What to drop: what may be forgotten, or all that is dead.
#[derive(Clone, Copy)]
pub(super) enum Sweep {
    Forgettable,
    Dead,
}

impl Sweep {
    fn end_of(self, record: &Record) -> SystemTime {
        match self {
            Self::Forgettable => record.forget_at(),
            Self::Dead => record.live_until(),
        }
    }
}

impl Records {
    pub(super) fn get(&self, id: &TokenId) -> Option<Arc<Record>> {
        self.by_id.get(id).cloned()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.by_id.values()
    }

    pub(super) fn insert(&mut self, record: Record) -> Result<(), InsertError> {
        match self.by_id.entry(record.id()) {
            Entry::Occupied(_) => Err(InsertError::AlreadyExists),
            Entry::Vacant(place) => {
                note(&mut self.earliest, &record);
                place.insert(Arc::new(record));
                Ok(())
            }
        }
    }

    pub(super) fn update(&mut self, next: Record) -> bool {
        let Some(kept) = self.by_id.get_mut(&next.id()) else {
            return false;
        };
        if kept.version().wrapping_add(1) != next.version() {
            return false;
        }
        note(&mut self.earliest, &next);
        *kept = Arc::new(next);
        true
    }

    pub(super) fn remove(&mut self, id: &TokenId) -> Option<Arc<Record>> {
        self.by_id.remove(id)
    }

    pub(super) fn ids(&self, covers: impl Fn(&Record) -> bool) -> Vec<TokenId> {
        let covered = self.by_id.iter().filter(|(_, record)| covers(record));
        covered.map(|(id, _)| *id).collect()
    }

    pub(super) fn may_hold(&self, what: Sweep, now: SystemTime) -> bool {
        let [forgettable, dead] = self.earliest;
        let earliest = match what {
            Sweep::Forgettable => forgettable,
            Sweep::Dead => dead,
        };
        earliest.is_some_and(|earliest| earliest <= now)
    }

    pub(super) fn sweep(&mut self, what: Sweep, now: SystemTime) -> usize {
        let before = self.by_id.len();
        let mut earliest = [None; 2];
        self.by_id.retain(|_, record| {
            let stays = now < what.end_of(record);
            if stays {
                note(&mut earliest, record);
            }
            stays
        });
        self.earliest = earliest;
        before - self.by_id.len()
    }
}

/// Moves the earliest ends forward to those of this record.
fn note(earliest: &mut [Option<SystemTime>; 2], record: &Record) {
    for (earliest, what) in earliest.iter_mut().zip([Sweep::Forgettable, Sweep::Dead]) {
        let end = what.end_of(record);
        *earliest = Some(earliest.map_or(end, |earliest| earliest.min(end)));
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
