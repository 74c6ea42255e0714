//! Engine: instants as manifests write them.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An instant as RFC 3339 writes it, of the years 1 to 9999.
///
/// `T` and `Z` are upper-case, fractions have at most nine digits, and there are no leap seconds. Two are equal
/// if they are the same instant, whatever the offset they were written with.
///
/// ```
/// use tower_plugin_auth::admission::manifest::Timestamp;
///
/// let there: Timestamp = "2026-01-31T23:30:00.5-02:00".parse()?;
/// assert_eq!(there.to_string(), "2026-02-01T01:30:00.5Z");
/// assert!("2026-02-30T00:00:00Z".parse::<Timestamp>().is_err());
/// # Ok::<_, tower_plugin_auth::admission::manifest::InvalidTimestamp>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// This instant, if it is one of the years 1 to 9999.
    #[must_use]
    pub fn of(time: SystemTime) -> Option<Self> {
        let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => (i64::try_from(since.as_secs()).ok()?, since.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).ok()?;
                match before.subsec_nanos() {
                    0 => (-seconds, 0),
                    nanos => (-seconds - 1, 1_000_000_000 - nanos),
                }
            }
        };
        (FIRST..=LAST)
            .contains(&seconds)
            .then_some(Self { seconds, nanos })
    }

    /// What a clock would say, where it can.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let whole = match self.seconds {
            0.. => UNIX_EPOCH.checked_add(whole),
            _ => UNIX_EPOCH.checked_sub(whole),
        };
        whole?.checked_add(Duration::from_nanos(self.nanos.into()))
    }

    /// The instant so much later, of any year.
    pub(super) fn later_by(self, seconds: i64) -> Self {
        Self {
            seconds: self.seconds.saturating_add(seconds),
            ..self
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text).ok_or(InvalidTimestamp(()))
    }
}

/// In UTC, with as many digits of the second as it takes.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.seconds.div_euclid(DAY));
        let second = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.nanos > 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A text that is not an instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidTimestamp(());

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timestamp must be as in 2026-01-31T23:30:00Z")
    }
}

impl std::error::Error for InvalidTimestamp {}

fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = text.as_bytes();
    let year = number(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = number(&mut rest, 2)?;
    literal(&mut rest, b'-')?;
    let day = number(&mut rest, 2)?;
    literal(&mut rest, b'T')?;
    let hour = number(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let minute = number(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let second = number(&mut rest, 2)?;
    let nanos = match literal(&mut rest, b'.') {
        Some(()) => fraction(&mut rest)?,
        None => 0,
    };
    let offset = offset(rest)?;

    let days = days_to(year, month, day);
    if date(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - offset;
    (FIRST..=LAST)
        .contains(&seconds)
        .then_some(Timestamp { seconds, nanos })
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    number.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

fn literal(rest: &mut &[u8], expected: u8) -> Option<()> {
    let (first, after) = rest.split_first()?;
    if *first != expected {
        return None;
    }
    *rest = after;
    Some(())
}

fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let number = u32::try_from(number(rest, digits)?).ok()?;
    let missing = u32::try_from(9 - digits).ok()?;
    Some(number * 10_u32.pow(missing))
}

fn offset(mut rest: &[u8]) -> Option<i64> {
    let sign = match rest {
        b"Z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    rest = rest.get(1..)?;
    let hours = number(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let minutes = number(&mut rest, 2)?;
    let is_sane = rest.is_empty() && hours <= 23 && minutes <= 59;
    is_sane.then_some(sign * (hours * 3600 + minutes * 60))
}

// Days since 1970 of the Gregorian calendar, in years that begin with March: then the odd day is the last one.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        ..=2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let in_year = (153 * month + 2) / 5 + day - 1;
    era * DAYS_OF_ERA + year * 365 + year / 4 - year / 100 + in_year - MARCH_OF_YEAR_0
}

fn date(days: i64) -> (i64, i64, i64) {
    let days = days + MARCH_OF_YEAR_0;
    let era = days.div_euclid(DAYS_OF_ERA);
    let in_era = days.rem_euclid(DAYS_OF_ERA);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (carry, month) = match month {
        ..=9 => (0, month + 3),
        _ => (1, month - 9),
    };
    (era * 400 + year + carry, month, day)
}

const DAY: i64 = 24 * 60 * 60;
/// 400 years.
const DAYS_OF_ERA: i64 = 146_097;
/// From the first of March of the year 0 to 1970.
const MARCH_OF_YEAR_0: i64 = 719_468;
/// 0001-01-01T00:00:00Z, which Go writes for no time at all.
const FIRST: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        text.parse().ok().map(|time: Timestamp| time.seconds)
    }

    #[test]
    fn known_instants_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2030-01-01T00:00:00Z", Some(1_893_456_000)),
            ("2030-01-01T01:30:00+01:30", Some(1_893_456_000)),
            ("2029-12-31T00:00:00-24:00", None),
            ("0001-01-01T00:00:00Z", Some(FIRST)),
            ("9999-12-31T23:59:59Z", Some(LAST)),
            ("9999-12-31T23:59:59-00:01", None),
            ("0001-01-01T00:00:00+00:01", None),
            ("0000-12-31T23:59:59Z", None),
            ("1900-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:60:00Z", None),
            ("2026-01-01T00:00:60Z", None),
            ("2026-01-01t00:00:00Z", None),
            ("2026-01-01T00:00:00z", None),
            ("2026-01-01 00:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00.1234567890Z", None),
            ("2026-01-01T00:00:00Z ", None),
            ("2026-01-01T00:00:00+0100", None),
            ("+026-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
        let exact: Timestamp = "2030-01-01T00:00:00.000000001Z".parse().unwrap();
        assert_eq!(exact.nanos, 1);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_the_order_is_that_of_time(
            a in FIRST..=LAST, b in FIRST..=LAST, nanos in 0..1_000_000_000_u32,
        ) {
            let at = |seconds| Timestamp { seconds, nanos };
            prop_assert_eq!(at(a).to_string().parse(), Ok(at(a)));
            let time = at(a).to_system_time().unwrap();
            prop_assert_eq!(Timestamp::of(time), Some(at(a)));
            prop_assert_eq!(at(a).cmp(&at(b)), a.cmp(&b));
            prop_assert_eq!(time < at(b).to_system_time().unwrap(), a < b);
        }
    }
}
