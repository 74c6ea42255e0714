//! What a replica knows of its busiest keys, in memory that is allocated once.

use parking_lot::Mutex;

use super::{known::Known, view::View};

/// A fixed number of keys, set-associative: a key's hash picks a bucket of a few.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Box<[Mutex<Bucket>]>,
}

/// Under one lock, which is held for a few nanoseconds and never across anything that blocks.
#[derive(Debug, Default)]
struct Bucket {
    entries: [Entry; WAYS],
    /// How often something was decided here without asking.
    spent: u64,
    denied: u64,
}

/// A key, and what is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// 0 where there is none.
    key: u128,
    pub(super) known: Known,
    pub(super) view: View,
}

/// How something was decided here without asking.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decided {
    Deny,
    Spend,
}

impl Table {
    pub(super) fn new(keys: usize) -> Self {
        let buckets = keys.div_ceil(WAYS).max(1);
        Self {
            buckets: (0..buckets).map(|_| Mutex::default()).collect(),
        }
    }

    /// Lets `f` look at what is known of a key, if anything is, and counts what it decides.
    #[inline]
    pub(super) fn look<R>(
        &self,
        key: u128,
        f: impl FnOnce(&mut Entry) -> (Option<Decided>, R),
    ) -> Option<R> {
        let mut bucket = self.bucket(key).lock();
        let entry = bucket.entries.iter_mut().find(|entry| entry.key == key)?;
        let (decided, result) = f(entry);
        match decided {
            Some(Decided::Deny) => bucket.denied += 1,
            Some(Decided::Spend) => bucket.spent += 1,
            None => {}
        }
        Some(result)
    }

    /// Lets `f` at what is known of a key, in place of the least busy one if it is new.
    ///
    /// Nobody is wronged by what is forgotten: units that were on lease are lost, and a denial is asked
    /// for again.
    pub(super) fn enter<R>(&self, key: u128, now: u64, f: impl FnOnce(&mut Entry) -> R) -> R {
        let mut bucket = self.bucket(key).lock();
        let entries = &mut bucket.entries;
        let known = entries.iter().position(|entry| entry.key == key);
        let place = known.unwrap_or_else(|| {
            let worth = entries.iter().map(|entry| match entry.key {
                0 => 0,
                _ => entry.known.worth(now) + 1,
            });
            worth
                .enumerate()
                .min_by_key(|(_, worth)| *worth)
                .map_or(0, |(place, _)| place)
        });
        let mut spare = Entry::default();
        let entry = entries.get_mut(place).unwrap_or(&mut spare);
        if known.is_none() {
            *entry = Entry {
                key,
                ..Entry::default()
            };
        }
        f(entry)
    }

    /// How often something was spent, and denied, without asking. Walks the table.
    pub(super) fn decided(&self) -> (u64, u64) {
        self.buckets.iter().fold((0, 0), |(spent, denied), bucket| {
            let bucket = bucket.lock();
            (spent + bucket.spent, denied + bucket.denied)
        })
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a 64-bit number times the length, shifted right by 64, is below the length"
    )]
    fn bucket(&self, key: u128) -> &Mutex<Bucket> {
        let index = ((key >> 64) * self.buckets.len() as u128) >> 64;
        &self.buckets[index as usize]
    }
}

const WAYS: usize = 4;
