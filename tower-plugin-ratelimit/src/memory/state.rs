//! Engine: single states, for those who decide elsewhere.

use super::{Table, bucket::SLOTS};

impl Table {
    /// The state of the key with this hash; 0 where it has none.
    pub(crate) fn state(&self, hash: u64) -> u64 {
        let bucket = self.bucket(hash).lock();
        bucket.tat(bucket.position(hash as u32))
    }

    /// Replaces the state of a key if it still is `known`, and says what it was.
    ///
    /// A key that is new takes the slot that owes least, whatever that is.
    pub(crate) fn compare_exchange(&self, hash: u64, known: u64, state: u64) -> u64 {
        let bucket = self.bucket(hash).lock();
        let mut slot = bucket.position(hash as u32);
        let found = bucket.tat(slot);
        if found == known {
            if slot == SLOTS {
                slot = bucket.least_indebted(0).0;
            }
            bucket.write(slot, hash as u32, state);
        }
        found
    }
}
