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

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::bucket::{Bucket, SLOTS};
use crate::{Decision, Now, Operation, Policy, Quota, Rule, decision::Outcome, rule};

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

    /// Does something with the quotas of the key with this hash, all of them or none.
    ///
    /// `clock` is read once, when the key is nobody else's: decisions about a key are made in the order
    /// of their times.
    #[inline]
    pub fn apply(
        &self,
        hash: u64,
        policy: &Policy,
        clock: impl FnOnce() -> Now,
        operation: Operation,
    ) -> Decision {
        let bucket = self.bucket(hash).lock();
        let now = clock();
        let fingerprint = hash as u32;
        match policy.quotas() {
            [quota] => {
                let mut place = Place::of(&bucket, fingerprint, 0);
                let decision =
                    self.decide_place(&bucket, &mut place, quota.rule(), 0, now, operation);
                self.settle(&bucket, &place, &decision, operation);
                decision
            }
            quotas => self.apply_all(&bucket, fingerprint, policy, quotas, now, operation),
        }
    }

    /// Kept apart, so that the way of one quota stays short.
    #[inline(never)]
    fn apply_all(
        &self,
        bucket: &Bucket,
        fingerprint: u32,
        policy: &Policy,
        quotas: &[Quota],
        now: Now,
        operation: Operation,
    ) -> Decision {
        let mut places = [Place::default(); Policy::MAX_QUOTAS];
        let places = places.get_mut(..quotas.len()).unwrap_or_default();
        let mut own = 0;
        for (index, place) in places.iter_mut().enumerate() {
            *place = Place::of(bucket, fingerprint, index);
            own |= 1 << place.slot;
        }
        // Every decision of a quota is at least as tight as its being untouched.
        let untouched = Outcome::Allow { wait: 0 };
        let mut decision = Decision::new(untouched, policy.first_quota().rule(), 0, 0, now);
        for ((index, quota), place) in quotas.iter().enumerate().zip(&mut *places) {
            place.avoid = own;
            let next = self.decide_place(bucket, place, quota.rule(), index, now, operation);
            own |= 1 << place.slot;
            decision = decision.tighter(next);
        }
        for place in places {
            self.settle(bucket, place, &decision, operation);
        }
        decision
    }

    /// Decides by one quota of a key, and finds a slot for it where it has none.
    #[inline(always)]
    fn decide_place(
        &self,
        bucket: &Bucket,
        place: &mut Place,
        rule: Rule,
        index: usize,
        now: Now,
        operation: Operation,
    ) -> Decision {
        if place.is_known() {
            let state = bucket.tat(place.slot);
            return place.decide(rule, index, state, now, operation);
        }
        let (slot, owed) = bucket.least_indebted(place.avoid);
        place.slot = slot;
        place.forgets = owed > now.monotonic;
        place.is_new = true;
        let debits = matches!(operation, Operation::Charge(_) | Operation::Check(_));
        if place.forgets && debits && self.on_full == OnFull::Deny {
            let retry_after = owed - now.monotonic;
            let denied = Outcome::Deny { retry_after };
            return Decision::new(denied, rule, index, rule.spent(now), now);
        }
        place.decide(rule, index, 0, now, operation)
    }

    /// Writes what one quota of a key comes to, now that all have been asked.
    #[inline(always)]
    fn settle(&self, bucket: &Bucket, place: &Place, decision: &Decision, operation: Operation) {
        match operation {
            Operation::Peek(_) => {}
            Operation::Charge(_) | Operation::Check(_) if decision.is_allowed() => {
                if place.forgets {
                    self.forgotten.fetch_add(1, Relaxed);
                }
                bucket.write(place.slot, place.fingerprint, place.spent);
            }
            Operation::Charge(_) | Operation::Check(_) if place.is_new => {}
            Operation::Charge(_) | Operation::Check(_) => {
                bucket.write(place.slot, place.fingerprint, place.kept);
            }
            Operation::Refund { .. } | Operation::Reset if place.is_new => {}
            Operation::Refund { .. } | Operation::Reset => {
                bucket.write(place.slot, place.fingerprint, place.spent);
            }
        }
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a 32-bit number times the length, shifted right by 32, is below the length"
    )]
    pub(super) fn bucket(&self, hash: u64) -> &Bucket {
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
        self.buckets.iter().map(|bucket| bucket.indebted(now)).sum()
    }

    /// How long the longest debt takes to drain, in nanoseconds. Walks the whole table.
    #[must_use]
    pub fn longest_debt(&self, now: u64) -> u64 {
        let debts = self.buckets.iter().map(|bucket| bucket.longest_debt(now));
        debts.max().unwrap_or(0)
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
    /// Where the fingerprint stands, or `SLOTS`; later, where to write.
    slot: usize,
    /// The slots of the key's other quotas, as a bit set.
    avoid: u32,
    /// The key had no slot: this one owes least of those it may take.
    is_new: bool,
    /// And its owner still owes something.
    forgets: bool,
    /// The `tat` if every quota allows.
    spent: u64,
    /// The `tat` if one refuses: what it was, unless the clock went back or the quota shrank.
    kept: u64,
}

impl Place {
    /// Looks for one quota of the key.
    #[inline(always)]
    fn of(bucket: &Bucket, fingerprint: u32, index: usize) -> Self {
        let fingerprint = nth_fingerprint(fingerprint, index);
        Self {
            fingerprint,
            slot: bucket.position(fingerprint),
            ..Self::default()
        }
    }

    #[inline]
    const fn is_known(&self) -> bool {
        self.slot < SLOTS
    }

    #[inline(always)]
    fn decide(
        &mut self,
        rule: Rule,
        index: usize,
        state: u64,
        now: Now,
        operation: Operation,
    ) -> Decision {
        self.kept = state;
        let cost = match operation {
            Operation::Check(cost) | Operation::Peek(cost) => cost.units(),
            Operation::Charge(cost) => {
                let spent = rule.charge(state, now, cost.units());
                return self.allowed(rule, index, spent, 0, now);
            }
            Operation::Refund { cost, debited_at } => {
                let spent = rule.refund(state, now, cost.units(), debited_at);
                return self.allowed(rule, index, spent, 0, now);
            }
            Operation::Reset => return self.allowed(rule, index, 0, 0, now),
        };
        let outcome = match rule.decide(state, now, cost) {
            rule::Verdict::Allow { wait, .. } if matches!(operation, Operation::Peek(_)) => {
                return self.allowed(rule, index, state, wait, now);
            }
            rule::Verdict::Allow { state, wait } => {
                return self.allowed(rule, index, state, wait, now);
            }
            rule::Verdict::Deny { state, retry_after } => {
                self.kept = state;
                Outcome::Deny { retry_after }
            }
            rule::Verdict::CostExceedsBurst => Outcome::CostExceedsBurst,
        };
        Decision::new(outcome, rule, index, self.kept, now)
    }

    #[inline(always)]
    const fn allowed(
        &mut self,
        rule: Rule,
        index: usize,
        spent: u64,
        wait: u64,
        now: Now,
    ) -> Decision {
        self.spent = spent;
        Decision::new(Outcome::Allow { wait }, rule, index, spent, now)
    }
}

/// The quotas of a key share its bucket and differ in their fingerprints.
#[inline]
const fn nth_fingerprint(fingerprint: u32, index: usize) -> u32 {
    // An odd constant: no two of the few multiples coincide.
    fingerprint ^ (index as u32).wrapping_mul(0x9e37_79b9)
}

#[cfg(test)]
mod tests;
