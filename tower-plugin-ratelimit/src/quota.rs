use std::{fmt, str::FromStr, time::Duration};

use crate::gcra::Gcra;

mod error;

pub use error::{InvalidQuota, InvalidQuotaKind};

/// How much is allowed: `count` per `period`, of which `burst` may come at once.
///
/// Every window of length W, however placed, sees at most `burst + count * W / period`. So "10 per
/// second" with a burst of 10 admits up to 20 within the first second of a busy key: 10 at once and
/// 10 as they come back. Set a smaller burst where that is too much.
///
/// Its text form is `COUNT/PERIOD[:BURST]`: `10/s:20`, `6/m:10`, `1000/d`, `5/30s`. The unit is one
/// of `ns`, `us`, `ms`, `s`, `m`, `h`, `d`; without a burst it is the count.
///
/// ```
/// use tower_plugin_ratelimit::Quota;
///
/// let quota: Quota = "10/s:20".parse()?;
/// assert_eq!(quota, Quota::per_second(10)?.allow_burst(20)?);
/// assert_eq!(quota.to_string(), "10/s:20");
/// # Ok::<_, tower_plugin_ratelimit::InvalidQuota>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    count: u32,
    period: Duration,
    burst: u32,
    gcra: Gcra,
}

impl Quota {
    /// `count` per second, which may all come at once.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `count` is 0. The other constructors fail likewise.
    pub const fn per_second(count: u32) -> Result<Self, InvalidQuota> {
        Self::with_period(count, SECOND)
    }

    /// `count` per minute, which may all come at once.
    ///
    /// # Errors
    ///
    /// See [`per_second`](Self::per_second).
    pub const fn per_minute(count: u32) -> Result<Self, InvalidQuota> {
        Self::with_period(count, Duration::from_secs(60))
    }

    /// `count` per hour, which may all come at once.
    ///
    /// # Errors
    ///
    /// See [`per_second`](Self::per_second).
    pub const fn per_hour(count: u32) -> Result<Self, InvalidQuota> {
        Self::with_period(count, Duration::from_secs(3600))
    }

    /// `count` per day of 24 hours, which may all come at once.
    ///
    /// # Errors
    ///
    /// See [`per_second`](Self::per_second).
    pub const fn per_day(count: u32) -> Result<Self, InvalidQuota> {
        Self::with_period(count, Duration::from_secs(86_400))
    }

    /// `count` per `period`, which may all come at once.
    ///
    /// The time one unit takes to come back is `period / count` rounded up to a nanosecond, so the
    /// rate is never above what was asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `count` is 0, if `period` is not in 1 ms to 366 days, or if the rate is
    /// above 10^9 per second.
    pub const fn with_period(count: u32, period: Duration) -> Result<Self, InvalidQuota> {
        if count == 0 {
            return Err(InvalidQuota::new(InvalidQuotaKind::Count));
        }
        if period.as_nanos() < MIN_PERIOD.as_nanos() || period.as_nanos() > MAX_PERIOD.as_nanos() {
            return Err(InvalidQuota::new(InvalidQuotaKind::Period));
        }
        // At most 366 days, which is below 2^55 ns.
        let nanos = period.as_nanos() as u64;
        if nanos < count as u64 {
            return Err(InvalidQuota::new(InvalidQuotaKind::Rate));
        }
        Self::compiled(count, period, count)
    }

    /// Sets how much may come at once.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `burst` is 0, or so large that a spent quota would take more than 146
    /// years to be whole again.
    pub const fn allow_burst(self, burst: u32) -> Result<Self, InvalidQuota> {
        Self::compiled(self.count, self.period, burst)
    }

    const fn compiled(count: u32, period: Duration, burst: u32) -> Result<Self, InvalidQuota> {
        let interval = (period.as_nanos() as u64).div_ceil(count as u64);
        match Gcra::new(interval, burst) {
            Some(gcra) => Ok(Self {
                count,
                period,
                burst,
                gcra,
            }),
            None => Err(InvalidQuota::new(InvalidQuotaKind::Burst)),
        }
    }

    /// How much comes back per [period](Self::period).
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The time in which [count](Self::count) comes back.
    #[must_use]
    pub const fn period(self) -> Duration {
        self.period
    }

    /// How much may come at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// The quota as the engine decides by it.
    #[must_use]
    pub const fn gcra(self) -> Gcra {
        self.gcra
    }
}

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = InvalidQuota::new(InvalidQuotaKind::Syntax);
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(number(burst).ok_or(syntax)?)),
            None => (text, None),
        };
        let (count, period) = rate.split_once('/').ok_or(syntax)?;
        let unit_at = period.find(|c: char| !c.is_ascii_digit()).ok_or(syntax)?;
        let (multiple, unit) = period.split_at(unit_at);
        let unit = UNITS
            .iter()
            .find_map(|(name, nanos)| (*name == unit).then_some(*nanos))
            .ok_or(syntax)?;
        let multiple = match multiple {
            "" => 1,
            digits => digits.parse::<u64>().map_err(|_| syntax)?,
        };
        let period = unit
            .checked_mul(multiple)
            .map(Duration::from_nanos)
            .ok_or(InvalidQuota::new(InvalidQuotaKind::Period))?;
        let quota = Self::with_period(number(count).ok_or(syntax)?, period)?;
        burst.map_or(Ok(quota), |burst| quota.allow_burst(burst))
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.period.as_nanos() as u64;
        let whole = UNITS
            .iter()
            .rev()
            .find(|(_, unit)| nanos.is_multiple_of(*unit));
        let (unit, multiple) = whole.map_or(("ns", nanos), |(name, unit)| (*name, nanos / unit));
        write!(f, "{}/", self.count)?;
        if multiple != 1 {
            write!(f, "{multiple}")?;
        }
        f.write_str(unit)?;
        if self.burst != self.count {
            write!(f, ":{}", self.burst)?;
        }
        Ok(())
    }
}

/// Digits only: `u32::from_str` alone would also take a sign.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

const SECOND: Duration = Duration::from_secs(1);
const MIN_PERIOD: Duration = Duration::from_millis(1);
const MAX_PERIOD: Duration = Duration::from_secs(366 * 86_400);
/// In nanoseconds, ascending.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_form_is_read_and_written() {
        let cases = [
            ("10/s:20", "10/s:20", 10, 1_000, 20),
            ("6/m:10", "6/m:10", 6, 60_000, 10),
            ("1000/d", "1000/d", 1000, 86_400_000, 1000),
            ("5/30s", "5/30s", 5, 30_000, 5),
            ("5/60s:5", "5/m", 5, 60_000, 5),
            ("3/250ms", "3/250ms", 3, 250, 3),
            ("1/h:1", "1/h", 1, 3_600_000, 1),
        ];
        for (text, canonical, count, millis, burst) in cases {
            let quota: Quota = text.parse().unwrap();
            assert_eq!(quota.to_string(), canonical);
            assert_eq!(
                (quota.count(), quota.period(), quota.burst()),
                (count, Duration::from_millis(millis), burst)
            );
        }
    }

    #[test]
    fn f38_an_impossible_quota_is_refused_with_its_range() {
        use InvalidQuotaKind as Kind;
        let cases = [
            ("0/s", Kind::Count, "1 to 4294967295"),
            ("1/0s", Kind::Period, "1 ms to 366 days"),
            ("1/367d", Kind::Period, "1 ms to 366 days"),
            ("1/s:0", Kind::Burst, "at least 1"),
            ("1/366d:4000000000", Kind::Burst, "146 years"),
            ("2000000/ms", Kind::Rate, "1000000000 per second"),
            ("", Kind::Syntax, "COUNT/PERIOD"),
            ("10", Kind::Syntax, "COUNT/PERIOD"),
            ("10/", Kind::Syntax, "COUNT/PERIOD"),
            ("10/w", Kind::Syntax, "COUNT/PERIOD"),
            ("-1/s", Kind::Syntax, "COUNT/PERIOD"),
            ("+1/s", Kind::Syntax, "COUNT/PERIOD"),
            ("1.5/s", Kind::Syntax, "COUNT/PERIOD"),
            ("NaN/s", Kind::Syntax, "COUNT/PERIOD"),
            ("1/s:", Kind::Syntax, "COUNT/PERIOD"),
            ("99999999999/s", Kind::Syntax, "COUNT/PERIOD"),
        ];
        for (text, kind, told) in cases {
            let refused = text.parse::<Quota>().unwrap_err();
            assert_eq!(refused.kind(), kind, "{text:?}");
            assert!(refused.to_string().contains(told), "{text:?}: {refused}");
        }
    }

    #[test]
    fn the_interval_is_rounded_against_the_caller() {
        assert_eq!(Quota::per_second(3).unwrap().gcra().interval(), 333_333_334);
        assert_eq!(Quota::per_second(700_000).unwrap().gcra().interval(), 1_429);
    }

    proptest! {
        #[test]
        fn any_quota_survives_its_text(
            count in 1_u32..1_000_000,
            nanos in 1_000_000_u64..31_622_400_000_000_000,
            unit in prop::sample::select(UNITS.to_vec()),
            burst in 1_u32..1_000_000,
        ) {
            let period = Duration::from_nanos(nanos / unit.1 * unit.1);
            let Ok(quota) = Quota::with_period(count, period) else {
                return Ok(());
            };
            if let Ok(quota) = quota.allow_burst(burst) {
                prop_assert_eq!(quota.to_string().parse(), Ok(quota));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,24}") {
            let _ = text.parse::<Quota>();
        }
    }
}
