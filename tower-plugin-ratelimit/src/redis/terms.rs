//! Engine: a policy in the whole numbers that a shared record is kept in.
//!
//! A rate of n units of cost in p microseconds drains n *parts* a microsecond, and a unit weighs p of
//! them. So 3/s, 999,983/d and 700,000/s are exact, without a fraction anywhere. Every number stays
//! below 2^53, as far as the numbers of Redis' Lua count one by one.

use crate::{CalendarPeriod, Policy, Quota, Rule};

/// What a record of one policy is decided by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Terms {
    /// One for each quota of the policy.
    pub(super) meters: Vec<Meter>,
    /// Units that every decision leaves of every burst, and the most that may be out on lease; 0
    /// where nothing is leased.
    pub(super) reserve: u32,
    /// How long a lease lives, in microseconds.
    pub(super) age: u64,
}

/// One quota of a policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meter {
    Calendar { limit: u32, period: CalendarPeriod },
    Rate(Rate),
}

/// A rate and a burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rate {
    /// Parts that drain in a microsecond; at least 1.
    pub(super) leak: u64,
    /// Parts a unit of cost weighs; at least 1.
    pub(super) unit: u64,
    /// Units that may come at once; at least 1.
    pub(super) burst: u32,
    /// Parts that may be owed beyond the burst, by requests that wait.
    pub(super) wait: u64,
}

impl Terms {
    /// Whoever asks decides, and nothing is leased.
    pub(super) fn exact(policy: &Policy) -> Self {
        Self {
            meters: policy.quotas().iter().map(Meter::of).collect(),
            reserve: 0,
            age: 0,
        }
    }

    /// Keeps `headroom` percent of the smallest burst for leases, where that is two units or more
    /// and no quota counts by the calendar: a lease taken before the turn of a period could be spent
    /// after it.
    pub(super) fn leased(mut self, headroom: u8) -> Self {
        let mut smallest = u32::MAX;
        let mut age = MAX_AGE;
        for meter in &self.meters {
            let Meter::Rate(rate) = meter else {
                return self;
            };
            smallest = smallest.min(rate.burst);
            age = age.min(rate.capacity() / rate.leak / 4);
        }
        let reserve = (u64::from(smallest) * u64::from(headroom) / 100) as u32;
        if reserve >= 2 && age >= MIN_AGE {
            self.reserve = reserve;
            self.age = age;
        }
        self
    }

    /// The largest cost that can ever be admitted.
    pub(super) fn largest_cost(&self) -> u32 {
        let indices = 0..self.meters.len();
        indices
            .map(|index| self.largest_cost_of(index))
            .min()
            .unwrap_or(0)
    }

    /// The largest cost that one of the quotas can ever admit.
    pub(super) fn largest_cost_of(&self, index: usize) -> u32 {
        match self.meters.get(index) {
            Some(Meter::Calendar { limit, .. }) => *limit,
            Some(Meter::Rate(rate)) => rate.burst - self.reserve.min(rate.burst - 1),
            None => u32::MAX,
        }
    }

    /// What it is tried with whether Redis decides: one unit, forgotten after a second.
    pub(super) fn probe() -> Self {
        Self {
            meters: vec![Meter::Rate(Rate::new(1, 1_000_000_000, 1))],
            reserve: 0,
            age: 0,
        }
    }
}

impl Meter {
    pub(super) fn of(quota: &Quota) -> Self {
        match (quota.rule(), quota.exact_rate()) {
            (Rule::Calendar(calendar), _) => Self::Calendar {
                limit: calendar.limit(),
                period: calendar.period(),
            },
            (Rule::Gcra(gcra), (count, nanos)) => {
                let wait = gcra.max_wait() / 1_000;
                Self::Rate(Rate::new(count.into(), nanos, quota.burst()).waiting(wait))
            }
        }
    }
}

impl Rate {
    /// `count` units in `nanos`, of which `burst` may come at once; each of them at least 1.
    ///
    /// A rate whose numbers would not fit is taken a little lower, by less than 10^-9 of it for any
    /// burst below a million.
    pub(super) fn new(count: u64, nanos: u64, burst: u32) -> Self {
        let leak = u128::from(count) * 1_000;
        let unit = u128::from(nanos);
        let common = gcd(leak, unit);
        let (mut leak, mut unit) = (leak / common, unit / common);
        let room = u128::from(LARGEST / u64::from(burst));
        if unit > room || leak > u128::from(LARGEST) {
            // The largest numbers in this proportion that fit, the weight rounded up.
            let wanted = unit;
            let fits = (room * leak / wanted).clamp(1, u128::from(LARGEST));
            unit = (fits * wanted).div_ceil(leak);
            leak = fits;
        }
        // Only a burst that takes more than 142 years to come back is still too large.
        let unit = unit.min(u128::from(LARGEST)) as u64;
        Self {
            leak: leak as u64,
            unit,
            burst: u64::from(burst).min(LARGEST / unit) as u32,
            wait: 0,
        }
    }

    /// Lets requests wait for so many microseconds.
    fn waiting(mut self, micros: u64) -> Self {
        let wait = micros.saturating_mul(self.leak);
        self.wait = wait.min(LARGEST - self.capacity());
        self
    }

    /// The same rate and burst less what is decided elsewhere: `percent` of the rate, and so many
    /// units of the burst.
    pub(super) fn less(self, percent: u8, units: u32) -> Option<Self> {
        let burst = self.burst.checked_sub(units).filter(|burst| *burst > 0)?;
        let left = 100_u64
            .checked_sub(percent.into())
            .filter(|left| *left > 0)?;
        // Back to the form of the constructor: so many in so many nanoseconds.
        let count = self.leak.checked_mul(left)?;
        let nanos = self.unit.checked_mul(100_000)?;
        let mut less = Self::new(count, nanos, burst);
        less.wait = (self.wait / self.leak)
            .saturating_mul(less.leak)
            .min(LARGEST - less.capacity());
        Some(less)
    }

    /// Parts that may be owed.
    pub(super) const fn capacity(self) -> u64 {
        self.unit * self.burst as u64
    }
}

const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// What a capacity may be, so that no sum reaches 2^53.
const LARGEST: u64 = 1 << 52;
/// Longer leases would lock up more of a quota than they save calls.
pub(super) const MAX_AGE: u64 = 2_000_000;
/// A lease that dies sooner is dead when it arrives.
const MIN_AGE: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact_or_a_little_low() {
        // count, period, burst; whether exact.
        let table: [(u64, u64, u32, bool); 7] = [
            (3, 1_000_000_000, 3, true),
            (700_000, 1_000_000_000, 700_000, true),
            (999_983, 86_400_000_000_000, 999_983, false),
            (999_983, 86_400_000_000_000, 1_000, true),
            (10, 7_000, 10, true),
            (1, 366 * 86_400_000_000_000, 140, true),
            (u64::from(u32::MAX), 5_000_000_001, u32::MAX, false),
        ];
        for (count, nanos, burst, exact) in table {
            let rate = Rate::new(count, nanos, burst);
            assert_eq!(rate.burst, burst);
            assert!(rate.capacity() <= LARGEST, "{count} in {nanos}");
            // leak / unit <= count * 1000 / nanos, both sides times both divisors.
            let ours = u128::from(rate.leak) * u128::from(nanos);
            let theirs = u128::from(count) * 1_000 * u128::from(rate.unit);
            assert!(ours <= theirs, "{count} in {nanos} is too fast");
            assert_eq!(ours == theirs, exact, "{count} in {nanos}");
            if burst <= 1_000_000 {
                assert!(
                    (theirs - ours) * 1_000_000_000 <= theirs,
                    "{count} in {nanos}"
                );
            }
        }
    }

    #[test]
    fn small_bursts_and_calendars_are_never_leased() {
        let leased = |quotas: &[&str]| {
            let quotas = quotas.iter().map(|text| text.parse().unwrap());
            Terms::exact(&Policy::new("p", quotas).unwrap()).leased(5)
        };
        assert_eq!(leased(&["1000/s"]).reserve, 50);
        assert_eq!(leased(&["1000/s"]).age, 250_000);
        assert_eq!(leased(&["1000/s", "6000/m:100"]).reserve, 5);
        assert_eq!(leased(&["39/s"]).reserve, 0);
        assert_eq!(leased(&["1000/s", "5000/utc-day"]).reserve, 0);
        assert_eq!(leased(&["1000000/h"]).age, MAX_AGE);
        assert_eq!(leased(&["1000/s"]).largest_cost(), 950);
        assert_eq!(leased(&["39/s", "5/m"]).largest_cost(), 5);
    }
}
