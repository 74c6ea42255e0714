//! Engine: counters that start afresh at each UTC minute, hour, day or month, as billing counts.
//!
//! Around the turn of a period up to twice the limit fits into one window: that is what a calendar
//! means, and why [`gcra`](crate::gcra) is the default.
//!
//! The state of a key is one `u64`, so that it fits where a `tat` does: the end of the period, in
//! nanoseconds and rounded up to 2^32 of them, with the count in the bits the rounding freed. As a
//! time it is not earlier than the end of the period, so it frees its slot soon after.

/// The period a counter counts in; they begin with UTC's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CalendarPeriod {
    /// From second 0.
    Minute,
    /// From minute 0.
    Hour,
    /// From midnight.
    Day,
    /// From midnight of the 1st.
    Month,
}

impl CalendarPeriod {
    /// Seconds since the Unix epoch at which the period that contains `epoch_seconds` ends.
    ///
    /// ```
    /// use tower_plugin_ratelimit::calendar::CalendarPeriod;
    ///
    /// // 2024-02-29T12:00:00Z: a leap year's February ends with the 29th.
    /// assert_eq!(CalendarPeriod::Month.end(1_709_208_000), 1_709_251_200);
    /// ```
    #[must_use]
    pub const fn end(self, epoch_seconds: u64) -> u64 {
        match self {
            Self::Minute => next_multiple(epoch_seconds, 60),
            Self::Hour => next_multiple(epoch_seconds, 3_600),
            Self::Day => next_multiple(epoch_seconds, DAY),
            Self::Month => {
                let (year, month) = year_and_month(epoch_seconds / DAY);
                let (year, month) = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                days_before(year, month) * DAY
            }
        }
    }

    /// Seconds in the period; 31 days for a month.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => DAY,
            Self::Month => 31 * DAY,
        }
    }

    /// Half of the shortest such period, in steps of 2^32 ns, rounded down.
    const fn half_in_steps(self) -> u64 {
        let seconds = match self {
            Self::Month => 28 * DAY,
            Self::Minute | Self::Hour | Self::Day => self.seconds(),
        };
        (seconds * 500_000_000) >> COUNT_BITS
    }

    /// The name the text form uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A limit on what one period may see.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Calendar {
    limit: u32,
    period: CalendarPeriod,
}

/// What [`Calendar::decide`] finds. `state` is the state to keep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth answer would change the algorithm"
)]
#[must_use]
pub enum Verdict {
    /// Within the limit; the cost is counted.
    Allow {
        /// The state to keep.
        state: u64,
    },
    /// Over the limit; nothing is counted.
    Deny {
        /// The state to keep.
        state: u64,
    },
    /// More than a whole period ever sees.
    CostExceedsLimit,
}

impl Calendar {
    /// `None` if `limit` is 0.
    #[must_use]
    pub const fn new(limit: u32, period: CalendarPeriod) -> Option<Self> {
        if limit == 0 {
            return None;
        }
        Some(Self { limit, period })
    }

    /// Decides whether a cost fits into the period that ends at `end`, in nanoseconds of the clock
    /// the state is kept by.
    pub const fn decide(self, state: u64, end: u64, cost: u32) -> Verdict {
        if cost > self.limit {
            return Verdict::CostExceedsLimit;
        }
        let used = self.used(state, end);
        if cost > self.limit.saturating_sub(used) {
            Verdict::Deny {
                state: with_count(end, used),
            }
        } else {
            Verdict::Allow {
                state: with_count(end, used + cost),
            }
        }
    }

    /// Counts a cost that was incurred whether or not it fits, and returns the state to keep.
    #[must_use]
    pub const fn charge(self, state: u64, end: u64, cost: u32) -> u64 {
        with_count(end, self.used(state, end).saturating_add(cost))
    }

    /// Takes a cost back, unless its period is over, and returns the state to keep.
    #[must_use]
    pub const fn refund(self, state: u64, end: u64, cost: u32) -> u64 {
        with_count(end, self.used(state, end).saturating_sub(cost))
    }

    /// What the period that ends at `end` has seen.
    #[must_use]
    pub const fn used(self, state: u64, end: u64) -> u32 {
        // The end moves with every correction of the wall clock. Ends of two periods are a period
        // apart, so what is nearer than half of one is the same period.
        let apart = (state >> COUNT_BITS).abs_diff(rounded_up(end));
        if apart <= self.period.half_in_steps() {
            state as u32
        } else {
            0
        }
    }

    /// What a period may see.
    #[must_use]
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// The period.
    #[must_use]
    pub const fn period(self) -> CalendarPeriod {
        self.period
    }
}

const fn with_count(end: u64, count: u32) -> u64 {
    rounded_up(end) << COUNT_BITS | count as u64
}

const fn rounded_up(end: u64) -> u64 {
    end.div_ceil(1 << COUNT_BITS)
}

const fn next_multiple(value: u64, of: u64) -> u64 {
    (value / of + 1).saturating_mul(of)
}

/// The Gregorian year and month of a day since 1970-01-01, counted from the March before the year
/// 0, so that a leap day is the last of its year (E. G. Richards' algorithm).
const fn year_and_month(day: u64) -> (u64, u64) {
    let day = day + DAYS_TO_EPOCH;
    let day_of_era = day % DAYS_OF_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_from_march = (5 * day_of_year + 2) / 153;
    let month = (months_from_march + 2) % 12 + 1;
    let year = day / DAYS_OF_ERA * 400 + year_of_era;
    (if month <= 2 { year + 1 } else { year }, month)
}

/// Days from 1970-01-01 to the first of a month.
const fn days_before(year: u64, month: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year / 400 * DAYS_OF_ERA + day_of_era - DAYS_TO_EPOCH
}

const COUNT_BITS: u32 = 32;
const DAY: u64 = 86_400;
/// 400 years.
const DAYS_OF_ERA: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: u64 = 719_468;

#[cfg(test)]
mod tests;
