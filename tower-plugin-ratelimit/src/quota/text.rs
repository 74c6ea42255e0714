//! The text form of quotas, for flags, files and logs.

use std::{fmt, str::FromStr, time::Duration};

use super::{Form, InvalidQuota, InvalidQuotaKind, Quota};
use crate::calendar::CalendarPeriod;

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parsed(text).map_err(|invalid| invalid.in_text(text))
    }
}

fn parsed(text: &str) -> Result<Quota, InvalidQuota> {
    let (text, is_at_most) = match text.strip_prefix("<=") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (rate, burst) = match text.split_once(':') {
        Some((rate, burst)) => (rate, Some(number(burst)?)),
        None => (text, None),
    };
    let (count, period) = rate.split_once('/').ok_or(SYNTAX)?;
    let count = number(count)?;
    let calendar = CALENDAR_PERIODS
        .iter()
        .find(|known| period.strip_prefix("utc-") == Some(known.name()));
    match (is_at_most, calendar, burst) {
        (false, None, None) => Quota::with_period(count, duration(period)?),
        (false, None, Some(burst)) => {
            Quota::with_period(count, duration(period)?)?.allow_burst(burst)
        }
        (false, Some(period), None) => Quota::calendar(count, *period),
        (true, None, None) => Quota::at_most(count, duration(period)?),
        _ => Err(SYNTAX),
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::AtMost { count, window } => {
                write!(f, "<={count}/")?;
                write_duration(f, window)
            }
            Form::Calendar { count, period } => write!(f, "{count}/utc-{}", period.name()),
            Form::Rate { count, period } => {
                write!(f, "{count}/")?;
                write_duration(f, period)?;
                if self.burst == count {
                    return Ok(());
                }
                write!(f, ":{}", self.burst)
            }
        }
    }
}

/// Digits only: `u32::from_str` alone would also take a sign.
fn number(text: &str) -> Result<u32, InvalidQuota> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SYNTAX);
    }
    text.parse().map_err(|_| SYNTAX)
}

/// A number and a unit, or one of a unit.
fn duration(text: &str) -> Result<Duration, InvalidQuota> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(SYNTAX)?;
    let (multiple, unit) = text.split_at(unit_at);
    let unit = UNITS
        .iter()
        .find_map(|(name, nanos)| (*name == unit).then_some(*nanos))
        .ok_or(SYNTAX)?;
    let multiple = match multiple {
        "" => 1,
        digits => digits.parse::<u64>().map_err(|_| SYNTAX)?,
    };
    unit.checked_mul(multiple)
        .map(Duration::from_nanos)
        .ok_or(InvalidQuota::new(InvalidQuotaKind::Period))
}

/// In the largest unit that divides it.
fn write_duration(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    let nanos = duration.as_nanos() as u64;
    let whole = UNITS
        .iter()
        .rev()
        .find(|(_, unit)| nanos.is_multiple_of(*unit));
    let (unit, multiple) = whole.map_or(("ns", nanos), |(name, unit)| (*name, nanos / unit));
    if multiple != 1 {
        write!(f, "{multiple}")?;
    }
    f.write_str(unit)
}

const CALENDAR_PERIODS: [CalendarPeriod; 4] = [
    CalendarPeriod::Minute,
    CalendarPeriod::Hour,
    CalendarPeriod::Day,
    CalendarPeriod::Month,
];

const SYNTAX: InvalidQuota = InvalidQuota::new(InvalidQuotaKind::Syntax);

/// In nanoseconds, ascending.
pub(super) const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];
