//! Engine: a fixed table of debts, set-associative like a processor's cache.
//!
//! A bucket is one cache line: a lock, and five slots of a fingerprint and a `tat`
//! ([`gcra`](crate::gcra)). The high half of a key's hash picks the bucket, the low half is the
//! fingerprint. So a decision touches one line of memory, and all quotas of a key lie under one lock.
//!
//! A slot whose `tat` is not later than now is a free slot: nothing needs to expire, and there is no
//! sweeper, timer or list. When every slot of a bucket owes something, the one that owes *least* is
//! forgotten. A key at its limit owes most, so a flood of new keys forgets its own single debts, and
//! cannot wash off the flooder's.
//!
//! Two keys with the same 64 bits share a debt: one of them may be refused what it has not spent.
//! With 5 keys to a bucket that meets a given key with a probability of 10^-9, and nobody outside
//! can aim, because the hash is keyed.

use std::{
    hint,
    ops::Deref,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release},
    thread,
    time::Duration,
};

use crate::{Decision, Policy, Quota, decision::Verdict, gcra};

/// What to do for a new key when its bucket is full of keys that owe something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnFull {
    /// Forget the debt of whoever owes least, and count it: the key forgotten starts afresh.
    #[default]
    Forget,
    /// Refuse the new key until a slot is free: nobody's debt is ever forgotten, but a flood of keys
    /// can keep new ones out.
    Deny,
}

/// The debts of all keys, in memory that is allocated once.
#[derive(Debug)]
pub struct Table {
    buckets: Box<[Bucket]>,
    on_full: OnFull,
    forgotten: AtomicU64,
}

impl Table {
    /// A table of at least `slots` slots; a key needs one for each of its quotas while it owes
    /// something there.
    #[must_use]
    pub fn new(slots: usize, on_full: OnFull) -> Self {
        let buckets = slots.div_ceil(SLOTS).max(1);
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            on_full,
            forgotten: AtomicU64::new(0),
        }
    }

    /// Decides whether the key with this hash may spend `cost` from every quota of `policy`, and
    /// debits all of them or none.
    #[inline]
    pub fn decide(&self, hash: u64, policy: &Policy, now: u64, cost: u32) -> Decision {
        let quotas = policy.quotas();
        let mut places = [Place::default(); Policy::MAX_QUOTAS];
        let bucket = self.bucket(hash).lock();

        let mut taken = 0;
        for (index, place) in places.iter_mut().enumerate().take(quotas.len()) {
            place.fingerprint = nth_fingerprint(hash as u32, index);
            place.slot = bucket.position(place.fingerprint);
            place.is_known = place.slot < SLOTS;
            taken |= 1 << place.slot;
        }

        let decide = |((index, &quota), place): ((usize, &Quota), &mut Place)| {
            if !place.is_known {
                place.slot = bucket.least_indebted(taken);
                taken |= 1 << place.slot;
            }
            let before = bucket.tat(place.slot);
            if !place.is_known && before > now {
                place.forgets = true;
                if self.on_full == OnFull::Deny {
                    let retry_after = Duration::from_nanos(before - now);
                    return Decision::new(Verdict::Deny { retry_after }, quota, index, 0);
                }
            }
            place.decide(
                quota,
                index,
                if place.is_known { before } else { 0 },
                now,
                cost,
            )
        };
        // Every decision of a quota is tighter than its being untouched.
        let untouched = Decision::new(Verdict::Allow, policy.first_quota(), 0, 0);
        let places_of_quotas = quotas.iter().enumerate().zip(&mut places);
        let decision = places_of_quotas
            .map(decide)
            .fold(untouched, Decision::tighter);

        for place in places.iter().take(quotas.len()) {
            if decision.is_allowed() {
                if place.forgets {
                    self.forgotten.fetch_add(1, Relaxed);
                }
                bucket.write(place.slot, place.fingerprint, place.spent);
            } else if place.is_known {
                bucket.write(place.slot, place.fingerprint, place.kept);
            }
        }
        decision
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a 32-bit number times the length, shifted right by 32, is below the length"
    )]
    fn bucket(&self, hash: u64) -> &Bucket {
        let index = ((hash >> 32) * self.buckets.len() as u64) >> 32;
        &self.buckets[index as usize]
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.buckets.len() * SLOTS
    }

    /// How many bytes the table takes, now and ever.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// How many slots owe something. Walks the whole table, without a lock: a figure for operators.
    #[must_use]
    pub fn indebted(&self, now: u64) -> usize {
        self.buckets
            .iter()
            .flat_map(|bucket| &bucket.tats)
            .filter(|tat| tat.load(Relaxed) > now)
            .count()
    }

    /// How many debts were forgotten because their bucket was full.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }
}

/// Where one quota of the key stands in its bucket, and what to write there.
#[derive(Clone, Copy, Default)]
struct Place {
    fingerprint: u32,
    slot: usize,
    /// The slot is the key's own; otherwise it owes least of those that are not.
    is_known: bool,
    /// The slot is another key's that still owes something.
    forgets: bool,
    /// The `tat` if every quota allows.
    spent: u64,
    /// The `tat` if one refuses: what it was, unless the clock went back or the quota shrank.
    kept: u64,
}

impl Place {
    #[inline]
    fn decide(&mut self, quota: Quota, index: usize, tat: u64, now: u64, cost: u32) -> Decision {
        let gcra = quota.gcra();
        self.kept = tat;
        let verdict = match gcra.decide(tat, now, cost) {
            gcra::Verdict::Allow { tat } => {
                self.spent = tat;
                return Decision::new(Verdict::Allow, quota, index, gcra.debt(tat, now));
            }
            gcra::Verdict::Deny { tat, retry_after } => {
                self.kept = tat;
                let retry_after = Duration::from_nanos(retry_after);
                Verdict::Deny { retry_after }
            }
            gcra::Verdict::CostExceedsBurst => Verdict::CostExceedsBurst,
        };
        Decision::new(verdict, quota, index, gcra.debt(tat, now))
    }
}

/// One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// 1 while somebody is at the slots. They are atomics only so that this needs no `unsafe`.
    lock: AtomicU32,
    fingerprints: [AtomicU32; SLOTS],
    tats: [AtomicU64; SLOTS],
}

impl Bucket {
    /// The lock is held for a few nanoseconds and never across anything that blocks; whoever finds
    /// it taken for long waits for a holder that lost its processor, and yields.
    #[inline]
    fn lock(&self) -> Locked<'_> {
        let mut spins = 0;
        while self.lock.swap(1, Acquire) != 0 {
            while self.lock.load(Relaxed) != 0 {
                spins += 1;
                if spins < 128 {
                    hint::spin_loop();
                } else {
                    thread::yield_now();
                }
            }
        }
        Locked(self)
    }

    /// The slot with this fingerprint, or `SLOTS`.
    #[inline]
    fn position(&self, fingerprint: u32) -> usize {
        let mut found = SLOTS;
        // Without an early exit: five compares are cheaper than one misprediction.
        for (slot, known) in self.fingerprints.iter().enumerate() {
            if known.load(Relaxed) == fingerprint {
                found = slot;
            }
        }
        found
    }

    /// The slot that owes least, of those not in the bit set.
    #[inline]
    fn least_indebted(&self, taken: u32) -> usize {
        let mut least = (u64::MAX, 0);
        for (slot, tat) in self.tats.iter().enumerate() {
            let tat = tat.load(Relaxed);
            if taken & 1 << slot == 0 && tat < least.0 {
                least = (tat, slot);
            }
        }
        least.1
    }

    #[inline]
    fn tat(&self, slot: usize) -> u64 {
        self.tats.get(slot).map_or(0, |tat| tat.load(Relaxed))
    }

    #[inline]
    fn write(&self, slot: usize, fingerprint: u32, tat: u64) {
        if let (Some(known), Some(known_tat)) = (self.fingerprints.get(slot), self.tats.get(slot)) {
            known.store(fingerprint, Relaxed);
            known_tat.store(tat, Relaxed);
        }
    }
}

struct Locked<'a>(&'a Bucket);

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

/// The quotas of a key share its bucket and differ in their fingerprints.
#[inline]
const fn nth_fingerprint(fingerprint: u32, index: usize) -> u32 {
    // An odd constant: no two of the few multiples coincide.
    fingerprint ^ (index as u32).wrapping_mul(0x9e37_79b9)
}

/// A lock and five fingerprints of 4 bytes and five `tat`s of 8 make 64.
const SLOTS: usize = 5;
const _: () = assert!(size_of::<Bucket>() == 64);

#[cfg(test)]
mod tests;
