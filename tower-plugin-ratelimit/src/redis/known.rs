//! Engine: what a replica knows of one key, and decides by itself.
//!
//! Times are nanoseconds of the replica's own monotonic clock; it needs to agree with nobody's.

use super::terms::Terms;

/// What a replica knows of one key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Of the policy that all of it is about.
    version: u64,
    /// Units it may spend without asking. The second is the one that was asked for while the first
    /// was being spent.
    leases: [Lease; 2],
    /// The newest ask whose answer is not there yet; 0 if there is none.
    asked: u64,
    demand: Demand,
    denial: Denial,
}

/// Units a replica may spend until `dead_at`.
#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    sequence: u64,
    left: u32,
    /// How many there were.
    size: u32,
    dead_at: u64,
}

/// Until when Redis is known to deny this cost, and any greater one.
#[derive(Clone, Copy, Debug, Default)]
struct Denial {
    cost: u32,
    until: u64,
}

/// What can be said of a cost without asking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Local {
    /// Nothing.
    Ask,
    Deny,
    /// Spent from a lease; where it is running low, the next should be asked for.
    Spend {
        low: bool,
    },
}

impl Known {
    /// Decides about a cost, if that can be done here.
    pub(super) fn decide(&mut self, version: u64, now: u64, cost: u32) -> Local {
        self.update(version);
        self.demand.add(now, cost);
        if let Some(lease) = self.leases.iter_mut().find(|lease| lease.has(cost, now)) {
            lease.left -= cost;
            return Local::Spend {
                low: self.asked == 0 && self.is_low(now),
            };
        }
        if now < self.denial.until && cost >= self.denial.cost {
            return Local::Deny;
        }
        Local::Ask
    }

    /// What to say of leases in an ask that goes off now: the one it keeps on spending, and how much
    /// of it, and how much more it wants. Whatever else it had, it has no longer.
    ///
    /// `sequence` is higher with each ask of this replica.
    pub(super) fn ask(
        &mut self,
        version: u64,
        terms: &Terms,
        sequence: u64,
        now: u64,
    ) -> ((u64, u32), u32) {
        self.update(version);
        if terms.reserve == 0 {
            return ((0, 0), 0);
        }
        self.asked = sequence;
        let [first, second] = &mut self.leases;
        if !first.has(1, now) || second.has(first.left, now) {
            *first = *second;
        }
        *second = Lease::default();
        let keep = if first.has(1, now) {
            (first.sequence, first.left)
        } else {
            *first = Lease::default();
            (0, 0)
        };
        (keep, self.demand.surplus(terms, now))
    }

    /// Takes in a lease. `sent_at` is when its ask went off: a lease is as old as that, so that it dies
    /// here before Redis takes it for dead.
    pub(super) fn leased(&mut self, terms: &Terms, sequence: u64, units: u32, sent_at: u64) {
        if self.asked != sequence {
            // Since then another ask has settled it.
            return;
        }
        self.asked = 0;
        let age = terms.age * 1_000;
        let lease = Lease {
            sequence,
            left: units,
            size: units,
            // A clock that runs slower than Redis' by less than a hundredth does no harm.
            dead_at: sent_at.saturating_add(age - age / 100),
        };
        let [first, second] = &mut self.leases;
        if first.left == 0 {
            *first = lease;
        } else {
            *second = lease;
        }
    }

    /// The answer to an ask will not come, or come too late to be of use.
    pub(super) fn lost(&mut self, sequence: u64) {
        if self.asked == sequence {
            self.asked = 0;
        }
    }

    /// Redis would deny `cost` for so long. `sent_at` is when it was asked.
    pub(super) fn denied(&mut self, cost: u32, retry_after: u64, sent_at: u64) {
        let hold = retry_after.clamp(SHORTEST_HOLD, LONGEST_HOLD);
        self.denial = Denial {
            cost,
            until: sent_at.saturating_add(hold),
        };
    }

    /// Redis has admitted something, or was told to forget.
    pub(super) fn admitted(&mut self) {
        self.denial = Denial::default();
    }

    /// How much it would cost to forget this: nothing for a key that comes once.
    pub(super) fn worth(&self, now: u64) -> u32 {
        self.demand.rate(now) as u32
    }

    /// Until when a cost is denied without asking.
    pub(super) const fn denied_until(&self) -> u64 {
        self.denial.until
    }

    /// Whether all of it is about this version of the policy.
    pub(super) const fn is_of(&self, version: u64) -> bool {
        self.version == version
    }

    /// Forgets what belongs to another version of the policy.
    pub(super) fn update(&mut self, version: u64) {
        if self.version != version {
            *self = Self {
                version,
                demand: self.demand,
                ..Self::default()
            };
        }
    }

    /// Whether what is left would be spent by the time an answer comes.
    fn is_low(&self, now: u64) -> bool {
        let [first, second] = self.leases;
        if second.has(1, now) {
            return false;
        }
        let soon = (self.demand.rate(now) * SOON) as u32;
        first.left <= (first.size / 4).min(soon.saturating_add(1))
    }
}

impl Lease {
    const fn has(&self, units: u32, now: u64) -> bool {
        self.left >= units && units > 0 && now < self.dead_at
    }
}

/// How much is asked for, with a memory of a second.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    /// Units a second, as it was at `since`.
    rate: f32,
    /// Units since then.
    count: u32,
    since: u64,
}

impl Demand {
    fn add(&mut self, now: u64, cost: u32) {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= WINDOW {
            self.rate = self.rate(now);
            self.count = 0;
            self.since = now;
        }
        self.count = self.count.saturating_add(cost);
    }

    /// Units a second.
    fn rate(&self, now: u64) -> f32 {
        let elapsed = now.saturating_sub(self.since);
        let current = self.count as f32 * SECOND as f32 / elapsed.max(WINDOW) as f32;
        // Linear for a short time, and all gone after a second.
        let passed = (elapsed as f32 / SECOND as f32).min(1.0);
        // Who comes up fast is believed at once.
        current.max(self.rate + (current - self.rate) * passed)
    }

    /// How much to lease: what is likely to be spent in half of the life of a lease.
    fn surplus(&self, terms: &Terms, now: u64) -> u32 {
        let rate = self.rate(now);
        if rate < COLD {
            return 0;
        }
        let spent = rate * terms.age as f32 / 2e6;
        (spent as u32).clamp(1, terms.reserve)
    }
}

const SECOND: u64 = 1_000_000_000;
/// How often the rate is reckoned.
const WINDOW: u64 = SECOND / 4;
/// Below so many units a second every decision is asked for.
const COLD: f32 = 1.5;
/// An answer takes no longer than this, in seconds, unless something is wrong.
const SOON: f32 = 0.008;
/// A denied key is asked about a hundred times a second at most: units go on coming back meanwhile.
const SHORTEST_HOLD: u64 = 10_000_000;
/// Somebody may pay back or reset what was owed; that is noticed within a second.
const LONGEST_HOLD: u64 = SECOND;
