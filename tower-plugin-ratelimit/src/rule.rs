//! Engine: one quota of either kind, deciding over one `u64` of state.

use crate::{
    calendar::{self, Calendar},
    gcra::{self, Gcra},
};

/// How a quota is decided.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// At most so many in each UTC period.
    Calendar(Calendar),
    /// A rate and a burst.
    Gcra(Gcra),
}

/// A reading of both clocks, in nanoseconds.
///
/// The wall clock is only asked where a calendar is: elsewhere it may be 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "there are two clocks")]
pub struct Now {
    /// Since an origin that stays the same for the life of the state.
    pub monotonic: u64,
    /// Since the Unix epoch.
    pub wall: u64,
}

#[cfg(feature = "redis")]
impl Now {
    /// Whether a decision was made without Redis, whose times are whole microseconds: then a refund of
    /// it is none of Redis' business either.
    pub(crate) const fn is_own(self) -> bool {
        !self.wall.is_multiple_of(1_000)
    }
}

/// What [`Rule::decide`] finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Allow { state: u64, wait: u64 },
    Deny { state: u64, retry_after: u64 },
    CostExceedsBurst,
}

impl Rule {
    #[inline]
    pub(crate) const fn decide(self, state: u64, now: Now, cost: u32) -> Verdict {
        match self {
            Self::Gcra(gcra) => match gcra.decide(state, now.monotonic, cost) {
                gcra::Verdict::Allow { tat, wait } => Verdict::Allow { state: tat, wait },
                gcra::Verdict::Deny { tat, retry_after } => Verdict::Deny {
                    state: tat,
                    retry_after,
                },
                gcra::Verdict::CostExceedsBurst => Verdict::CostExceedsBurst,
            },
            Self::Calendar(calendar) => by_calendar(calendar, state, now, cost),
        }
    }

    /// The state after a cost that was incurred whether or not it fits.
    pub(crate) const fn charge(self, state: u64, now: Now, cost: u32) -> u64 {
        match self {
            Self::Gcra(gcra) => gcra.charge(state, now.monotonic, cost),
            Self::Calendar(calendar) => calendar.charge(state, end(calendar, now), cost),
        }
    }

    /// The state after taking back a cost that was debited at `debited_at`.
    pub(crate) const fn refund(self, state: u64, now: Now, cost: u32, debited_at: Now) -> u64 {
        match self {
            Self::Gcra(gcra) => gcra.refund(state, now.monotonic, cost, debited_at.monotonic),
            Self::Calendar(calendar) => {
                let this = end(calendar, now);
                if calendar.period().end(debited_at.wall / NANOS) * NANOS <= now.wall {
                    // Counted in a period that is over.
                    return state;
                }
                calendar.refund(state, this, cost)
            }
        }
    }

    /// The state of a key that has spent it all.
    pub(crate) const fn spent(self, now: Now) -> u64 {
        match self {
            Self::Gcra(gcra) => now.monotonic.saturating_add(gcra.capacity()),
            Self::Calendar(calendar) => calendar.charge(0, end(calendar, now), calendar.limit()),
        }
    }

    /// How many units fit at once; at least 1.
    pub(crate) const fn limit(self) -> u32 {
        match self {
            Self::Gcra(gcra) => gcra.remaining(0),
            Self::Calendar(calendar) => calendar.limit(),
        }
    }

    /// How many units still fit.
    pub(crate) const fn remaining(self, state: u64, now: Now) -> u32 {
        match self {
            Self::Gcra(gcra) => gcra.remaining(gcra.debt(state, now.monotonic)),
            Self::Calendar(calendar) => {
                let used = calendar.used(state, end(calendar, now));
                calendar.limit().saturating_sub(used)
            }
        }
    }

    /// Nanoseconds until the quota is whole again.
    pub(crate) const fn reset(self, state: u64, now: Now) -> u64 {
        match self {
            Self::Gcra(gcra) => gcra.debt(state, now.monotonic),
            Self::Calendar(calendar) => until_end(calendar, state, now),
        }
    }

    /// Nanoseconds until one more unit fits than does now; 0 when nothing is missing.
    pub(crate) const fn next_unit(self, state: u64, now: Now) -> u64 {
        match self {
            Self::Gcra(gcra) => gcra.next_unit(gcra.debt(state, now.monotonic)),
            Self::Calendar(calendar) => until_end(calendar, state, now),
        }
    }
}

/// Kept apart, so that the way of a rate stays short.
#[inline(never)]
const fn by_calendar(calendar: Calendar, state: u64, now: Now, cost: u32) -> Verdict {
    let end = end(calendar, now);
    match calendar.decide(state, end, cost) {
        calendar::Verdict::Allow { state } => Verdict::Allow { state, wait: 0 },
        calendar::Verdict::Deny { state } => Verdict::Deny {
            state,
            retry_after: end.saturating_sub(now.monotonic),
        },
        calendar::Verdict::CostExceedsLimit => Verdict::CostExceedsBurst,
    }
}

const fn until_end(calendar: Calendar, state: u64, now: Now) -> u64 {
    let end = end(calendar, now);
    if calendar.used(state, end) == 0 {
        return 0;
    }
    end.saturating_sub(now.monotonic)
}

/// When the period ends, by the monotonic clock.
const fn end(calendar: Calendar, now: Now) -> u64 {
    let end = calendar
        .period()
        .end(now.wall / NANOS)
        .saturating_mul(NANOS);
    now.monotonic.saturating_add(end.saturating_sub(now.wall))
}

const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::CalendarPeriod;

    #[test]
    fn what_was_counted_in_a_period_that_is_over_is_not_paid_back() {
        let calendar = Calendar::new(5, CalendarPeriod::Minute).unwrap();
        let rule = Rule::Calendar(calendar);
        let at = |seconds: u64| Now {
            monotonic: (1_000 + seconds) * NANOS,
            wall: seconds * NANOS,
        };
        let first = rule.charge(0, at(59), 3);
        assert_eq!(
            rule.remaining(rule.refund(first, at(59), 3, at(59)), at(59)),
            5
        );
        for later in [60, 61] {
            let second = rule.charge(first, at(later), 2);
            let refunded = rule.refund(second, at(later), 3, at(59));
            assert_eq!(rule.remaining(refunded, at(later)), 3, "at second {later}");
        }
    }
}
