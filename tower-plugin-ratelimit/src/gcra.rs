//! Engine: GCRA, the generic cell rate algorithm (ITU-T I.371, Annex A), in integers.
//!
//! One number is the whole state of a key: its theoretical arrival time (`tat`), when the quota
//! will be whole again. What lies between now and then is the key's *debt*. A cost of n is admitted
//! iff the debt it makes stays within the capacity:
//!
//! ```text
//! max(tat, now) + n * interval - now <= burst * interval
//! ```
//!
//! From which follows, for every window of length W however placed, the one promise:
//! `admitted cost <= burst + W / interval`.
//!
//! Where callers may wait, the debt may grow beyond the capacity by the longest wait; what exceeds the
//! capacity is how long the request is held back, so the promise holds for when it goes on.
//!
//! Times are nanoseconds since an origin that `tat` and `now` share. A `tat` that is not later than
//! `now` means the same as none at all, so 0 is the state of a key that was never seen.

/// A quota compiled for deciding: the time one unit of cost takes to come back, and the debt that is
/// allowed.
///
/// ```
/// use tower_plugin_ratelimit::gcra::{Gcra, Verdict};
///
/// // Two per second: 500 ms each.
/// let quota = Gcra::new(500_000_000, 2).unwrap();
/// let now = 7_000_000_000;
///
/// let Verdict::Allow { tat, .. } = quota.decide(0, now, 1) else { panic!() };
/// let Verdict::Allow { tat, .. } = quota.decide(tat, now, 1) else { panic!() };
/// let Verdict::Deny { retry_after, .. } = quota.decide(tat, now, 1) else { panic!() };
/// assert_eq!(retry_after, 500_000_000);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Gcra {
    interval: u64,
    capacity: u64,
    max_wait: u64,
}

/// What [`Gcra::decide`] finds. `tat` is the state to keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth answer would change the algorithm"
)]
#[must_use]
pub enum Verdict {
    /// Within the quota; the cost is debited in `tat`.
    Allow {
        /// The state to keep.
        tat: u64,
        /// Nanoseconds to hold the request back; 0 unless [`Gcra::with_max_wait`] allows more.
        wait: u64,
    },
    /// Over the quota; nothing is debited.
    Deny {
        /// The state to keep: what it was, unless the clock went back or the quota shrank.
        tat: u64,
        /// Nanoseconds after which the same cost is admitted, if nothing else is admitted before.
        retry_after: u64,
    },
    /// More than the quota ever holds: no waiting helps.
    CostExceedsBurst,
}

impl Gcra {
    /// A quota of `burst` units, each of which takes `interval` nanoseconds to come back.
    ///
    /// `None` where either is zero or their product exceeds [`MAX_CAPACITY`](Self::MAX_CAPACITY).
    #[must_use]
    pub const fn new(interval: u64, burst: u32) -> Option<Self> {
        match interval.checked_mul(burst as u64) {
            Some(capacity) if capacity > 0 && capacity <= Self::MAX_CAPACITY => Some(Self {
                interval,
                capacity,
                max_wait: 0,
            }),
            _ => None,
        }
    }

    /// Admits also what would be within the quota after a wait of up to `nanos`, as if it came then.
    ///
    /// Requests that wait are served in the order they were decided in. At most
    /// [`MAX_CAPACITY`](Self::MAX_CAPACITY).
    #[must_use]
    pub const fn with_max_wait(mut self, nanos: u64) -> Self {
        self.max_wait = if nanos < Self::MAX_CAPACITY {
            nanos
        } else {
            Self::MAX_CAPACITY
        };
        self
    }

    /// The longest a spent quota may take to be whole again: 2^62 ns, about 146 years. Below it no
    /// sum overflows.
    pub const MAX_CAPACITY: u64 = 1 << 62;

    /// Decides whether a cost fits, given the state of the key.
    ///
    /// Total: any `tat` is taken. A `now` that is a little earlier than the one before, as two
    /// processors may read it, changes nothing. One that is earlier by more than
    /// [`SKEW`](Self::SKEW) is a clock that was set back: then debt beyond the capacity counts as the
    /// capacity, so that it is felt for the time a spent quota takes to be whole again and no longer.
    /// The same holds for debt beyond a quota that shrank.
    #[inline]
    pub const fn decide(self, tat: u64, now: u64, cost: u32) -> Verdict {
        let Some(need) = self.interval.checked_mul(cost as u64) else {
            return Verdict::CostExceedsBurst;
        };
        if need > self.capacity {
            return Verdict::CostExceedsBurst;
        }
        let owed = self.owed(tat, now);
        let total = owed + need;
        if total <= self.limit() {
            Verdict::Allow {
                tat: now.saturating_add(total),
                wait: total.saturating_sub(self.capacity),
            }
        } else {
            Verdict::Deny {
                tat: now.saturating_add(owed),
                retry_after: total - self.limit(),
            }
        }
    }

    /// Debits a cost that was incurred whether or not it fits, and returns the state to keep.
    ///
    /// Debt beyond what the quota allows is forgiven.
    #[must_use]
    pub const fn charge(self, tat: u64, now: u64, cost: u32) -> u64 {
        let need = self.interval.saturating_mul(cost as u64);
        let owed = self.owed(tat, now);
        let total = owed.saturating_add(need);
        let most = if owed < self.limit() {
            self.limit()
        } else {
            owed
        };
        now.saturating_add(if total < most { total } else { most })
    }

    /// Takes back a cost that was debited at `debited_at`, and returns the state to keep.
    ///
    /// What has drained since then is not credited: the time that passed may have served later
    /// requests. So a refund never admits more than if the cost had never been asked for.
    #[must_use]
    pub const fn refund(self, tat: u64, now: u64, cost: u32, debited_at: u64) -> u64 {
        let age = now.saturating_sub(debited_at);
        let credit = self
            .interval
            .saturating_mul(cost as u64)
            .saturating_sub(age);
        now.saturating_add(self.owed(tat, now).saturating_sub(credit))
    }

    /// How long it takes until the quota is whole again, in nanoseconds.
    #[inline]
    #[must_use]
    pub const fn debt(self, tat: u64, now: u64) -> u64 {
        let owed = self.owed(tat, now);
        let limit = self.limit();
        if owed < limit { owed } else { limit }
    }

    /// What lies between now and `tat`, unless that is more than can have come about here.
    #[inline]
    const fn owed(self, tat: u64, now: u64) -> u64 {
        let owed = tat.saturating_sub(now);
        if owed <= self.limit() + Self::SKEW {
            owed
        } else {
            self.limit()
        }
    }

    /// How far apart two readings of one clock may lie, 100 ms: far more than processors disagree by.
    ///
    /// What a decision takes for a clock set back it writes down. If it wrote down every reading that
    /// comes a little late, each would hand out as much as it is late.
    pub const SKEW: u64 = 100_000_000;

    /// The most that may be owed. Each part is at most 2^62, so no sum below overflows.
    const fn limit(self) -> u64 {
        self.capacity + self.max_wait
    }

    /// How many units still fit beside a debt.
    #[must_use]
    pub const fn remaining(self, debt: u64) -> u32 {
        let units = self.capacity.saturating_sub(debt) / self.interval;
        // At most `burst`, which is a `u32`.
        if units < u32::MAX as u64 {
            units as u32
        } else {
            u32::MAX
        }
    }

    /// Nanoseconds until one more unit fits than does now; 0 when there is no debt.
    #[must_use]
    pub const fn next_unit(self, debt: u64) -> u64 {
        match debt % self.interval {
            0 if debt > 0 => self.interval,
            part => part,
        }
    }

    /// Nanoseconds one unit takes to come back.
    #[must_use]
    pub const fn interval(self) -> u64 {
        self.interval
    }

    /// How long requests may wait, in nanoseconds.
    #[must_use]
    pub const fn max_wait(self) -> u64 {
        self.max_wait
    }

    /// The debt that is allowed, in nanoseconds: how long a spent quota takes to be whole again.
    #[must_use]
    pub const fn capacity(self) -> u64 {
        self.capacity
    }
}

#[cfg(test)]
mod tests;
