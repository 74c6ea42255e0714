//! Engine: one cache line of debts. See [`Table`](super::Table).

#[cfg(not(loom))]
use std::{
    hint,
    sync::atomic::{AtomicU32, AtomicU64},
    thread,
};
use std::{
    ops::Deref,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

#[cfg(loom)]
use loom::{
    hint,
    sync::atomic::{AtomicU32, AtomicU64},
    thread,
};

/// One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Bucket {
    /// 1 while somebody is at the slots. They are atomics only so that this needs no `unsafe`.
    lock: AtomicU32,
    fingerprints: [AtomicU32; SLOTS],
    tats: [AtomicU64; SLOTS],
}

impl Bucket {
    /// The lock is held for a few nanoseconds and never across anything that blocks; whoever finds
    /// it taken for long waits for a holder that lost its processor, and yields.
    #[inline]
    pub(super) fn lock(&self) -> Locked<'_> {
        // The plain load may be fetched ahead of time, while the decision before this one is still
        // being made; the swap may not.
        while self.lock.load(Relaxed) != 0
            || self.lock.compare_exchange(0, 1, Acquire, Relaxed).is_err()
        {
            self.wait();
        }
        Locked(self)
    }

    #[cold]
    fn wait(&self) {
        let mut spins = 0;
        loop {
            spins += 1;
            if spins < 128 {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
            if self.lock.load(Relaxed) == 0 {
                return;
            }
            // Spinning changes nothing: what may happen after it may happen before it, and is tried there.
            #[cfg(loom)]
            loom::skip_branch();
        }
    }

    /// The slot with this fingerprint, or `SLOTS`.
    #[inline]
    pub(super) fn position(&self, fingerprint: u32) -> usize {
        let mut found = SLOTS;
        // Without an early exit: five compares are cheaper than one misprediction.
        for (slot, known) in self.fingerprints.iter().enumerate() {
            if known.load(Relaxed) == fingerprint {
                found = slot;
            }
        }
        found
    }

    /// The slot that owes least, of those not in the bit set, and its `tat`.
    #[inline]
    pub(super) fn least_indebted(&self, avoid: u32) -> (usize, u64) {
        let mut least = (0, u64::MAX);
        for (slot, tat) in self.tats.iter().enumerate() {
            let tat = tat.load(Relaxed);
            if avoid & 1 << slot == 0 && tat < least.1 {
                least = (slot, tat);
            }
        }
        least
    }

    /// How many slots owe something, read without the lock.
    pub(super) fn indebted(&self, now: u64) -> usize {
        let owes = |tat: &&AtomicU64| tat.load(Relaxed) > now;
        self.tats.iter().filter(owes).count()
    }

    /// What the longest debtor owes, read without the lock.
    pub(super) fn longest_debt(&self, now: u64) -> u64 {
        let debts = self.tats.iter().map(|tat| tat.load(Relaxed));
        debts.max().unwrap_or(0).saturating_sub(now)
    }

    #[inline]
    pub(super) fn tat(&self, slot: usize) -> u64 {
        self.tats.get(slot).map_or(0, |tat| tat.load(Relaxed))
    }

    #[inline]
    pub(super) fn write(&self, slot: usize, fingerprint: u32, tat: u64) {
        if let (Some(known), Some(known_tat)) = (self.fingerprints.get(slot), self.tats.get(slot)) {
            known.store(fingerprint, Relaxed);
            known_tat.store(tat, Relaxed);
        }
    }
}

pub(super) struct Locked<'a>(&'a Bucket);

impl Deref for Locked<'_> {
    type Target = Bucket;

    fn deref(&self) -> &Bucket {
        self.0
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.store(0, Release);
    }
}

/// A lock and five fingerprints of 4 bytes and five `tat`s of 8 make 64.
pub(super) const SLOTS: usize = 5;
#[cfg(not(loom))]
const _: () = assert!(size_of::<Bucket>() == 64);
