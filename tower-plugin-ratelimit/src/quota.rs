use std::time::Duration;

use crate::{
    calendar::{Calendar, CalendarPeriod},
    gcra::Gcra,
    rule::Rule,
};

mod error;
mod text;

pub use error::{InvalidQuota, InvalidQuotaKind};

/// How much is allowed: `count` per `period`, of which `burst` may come at once.
///
/// Every window of length W, however placed, sees at most `burst + count * W / period`. So "10 per
/// second" with a burst of 10 admits up to 20 within the first second of a busy key: 10 at once and
/// 10 as they come back. Where that is too much, set a smaller burst or say
/// [`at_most`](Self::at_most).
///
/// Its text form is `COUNT/PERIOD[:BURST]`: `10/s:20`, `6/m:10`, `1000/d`, `5/30s`. The unit is one
/// of `ns`, `us`, `ms`, `s`, `m`, `h`, `d`; without a burst it is the count. `<=100/m` is
/// [`at_most`](Self::at_most), `5000/utc-month` a [`calendar`](Self::calendar) quota.
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
    form: Form,
    burst: u32,
    rule: Rule,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Form {
    AtMost { count: u32, window: Duration },
    Calendar { count: u32, period: CalendarPeriod },
    Rate { count: u32, period: Duration },
}

impl Quota {
    /// `count` per second, which may all come at once.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `count` is 0. The other constructors fail likewise.
    pub const fn per_second(count: u32) -> Result<Self, InvalidQuota> {
        Self::with_period(count, Duration::from_secs(1))
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
        if let Err(invalid) = checked(count, period) {
            return Err(invalid);
        }
        let form = Form::Rate { count, period };
        Self::paced(form, interval(count, period), count)
    }

    /// At most `count` in *any* window of this length, wherever it begins.
    ///
    /// That is what "100 per minute" means to whoever must not see the 101st. It is kept by a burst
    /// of half the count, and a rate that brings no more than the rest within a window: a steady
    /// caller gets `count / 2 + 1` per window or a little more, and no window sees more than
    /// `count`.
    ///
    /// # Errors
    ///
    /// See [`with_period`](Self::with_period).
    pub const fn at_most(count: u32, window: Duration) -> Result<Self, InvalidQuota> {
        if let Err(invalid) = checked(count, window) {
            return Err(invalid);
        }
        let burst = if count < 2 { 1 } else { count / 2 };
        // The shortest with which `count - burst + 1` units do not come back within a closed window.
        let interval = window.as_nanos() as u64 / (count - burst + 1) as u64 + 1;
        Self::paced(Form::AtMost { count, window }, interval, burst)
    }

    /// At most `count` in each UTC minute, hour, day or month, all of which may come at once.
    ///
    /// For billing: around the turn of a period, one window sees up to twice the count.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `count` is 0.
    pub const fn calendar(count: u32, period: CalendarPeriod) -> Result<Self, InvalidQuota> {
        match Calendar::new(count, period) {
            Some(calendar) => Ok(Self {
                form: Form::Calendar { count, period },
                burst: count,
                rule: Rule::Calendar(calendar),
            }),
            None => Err(InvalidQuota::new(InvalidQuotaKind::Count)),
        }
    }

    /// Sets how much may come at once.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `burst` is 0, or so large that a spent quota would take more than 146
    /// years to be whole again, or if the quota is not a rate: [`at_most`](Self::at_most) and
    /// [`calendar`](Self::calendar) fix it.
    pub const fn allow_burst(self, burst: u32) -> Result<Self, InvalidQuota> {
        match self.form {
            Form::Rate { count, period } => Self::paced(self.form, interval(count, period), burst),
            Form::AtMost { .. } | Form::Calendar { .. } => {
                Err(InvalidQuota::new(InvalidQuotaKind::Burst))
            }
        }
    }

    /// The share of one of `replicas` that limit in memory, each for itself: an equal part of the
    /// rate and of the burst, the burst rounded down and at least 1.
    ///
    /// Behind a balancer that spreads a key's requests evenly, together they admit the quota.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota`] if `replicas` is 0, or if a replica's period would exceed 366 days; for
    /// [`at_most`](Self::at_most) and [`calendar`](Self::calendar) also if there is less than one
    /// unit for each replica.
    pub const fn per_replica(self, replicas: u32) -> Result<Self, InvalidQuota> {
        if replicas == 0 {
            return Err(InvalidQuota::new(InvalidQuotaKind::Replicas));
        }
        match self.form {
            Form::AtMost { count, window } => Self::at_most(count / replicas, window),
            Form::Calendar { count, period } => Self::calendar(count / replicas, period),
            Form::Rate { count, period } => {
                let burst = self.burst / replicas;
                match Self::with_period(count, period.saturating_mul(replicas)) {
                    Ok(share) => share.allow_burst(if burst == 0 { 1 } else { burst }),
                    invalid @ Err(_) => invalid,
                }
            }
        }
    }

    /// `part` in `of` of the rate and of the burst, both rounded down; `None` if nothing is left.
    #[cfg(feature = "redis")]
    pub(crate) fn part(self, part: u64, of: u64) -> Option<Self> {
        let burst = (u64::from(self.burst) * part / of) as u32;
        let rule = match self.rule {
            Rule::Calendar(calendar) => Rule::Calendar(Calendar::new(burst, calendar.period())?),
            Rule::Gcra(gcra) => {
                let interval = (u128::from(gcra.interval()) * u128::from(of)).div_ceil(part.into());
                Rule::Gcra(Gcra::new(u64::try_from(interval).ok()?, burst)?)
            }
        };
        Some(Self {
            burst,
            rule,
            ..self
        })
    }

    const fn paced(form: Form, interval: u64, burst: u32) -> Result<Self, InvalidQuota> {
        match Gcra::new(interval, burst) {
            Some(gcra) => Ok(Self {
                form,
                burst,
                rule: Rule::Gcra(gcra),
            }),
            None => Err(InvalidQuota::new(InvalidQuotaKind::Burst)),
        }
    }

    /// How much is allowed per [period](Self::period).
    #[must_use]
    pub const fn count(self) -> u32 {
        match self.form {
            Form::AtMost { count, .. }
            | Form::Calendar { count, .. }
            | Form::Rate { count, .. } => count,
        }
    }

    /// The time the [count](Self::count) is for; 31 days for a calendar month.
    #[must_use]
    pub const fn period(self) -> Duration {
        match self.form {
            Form::AtMost { window, .. } => window,
            Form::Calendar { period, .. } => Duration::from_secs(period.seconds()),
            Form::Rate { period, .. } => period,
        }
    }

    /// How much may come at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// How long a spent quota takes to be whole again, at most.
    #[must_use]
    pub const fn refill(self) -> Duration {
        match self.rule {
            Rule::Calendar(_) => self.period(),
            Rule::Gcra(gcra) => Duration::from_nanos(gcra.capacity()),
        }
    }

    /// The quota as the engine decides by it.
    #[must_use]
    pub const fn rule(self) -> Rule {
        self.rule
    }

    /// How many units come back in how many nanoseconds, before any rounding.
    #[cfg(feature = "redis")]
    pub(crate) const fn exact_rate(self) -> (u32, u64) {
        match (self.form, self.rule) {
            (Form::AtMost { .. }, Rule::Gcra(gcra)) => (1, gcra.interval()),
            // A checked period is below 2^55 ns.
            (Form::Rate { count, period }, _) => (count, period.as_nanos() as u64),
            (Form::AtMost { count, .. } | Form::Calendar { count, .. }, _) => {
                (count, self.period().as_nanos() as u64)
            }
        }
    }

    pub(crate) const fn is_calendar(self) -> bool {
        matches!(self.rule, Rule::Calendar(_))
    }

    /// Lets callers wait; a calendar has nothing to wait for.
    pub(crate) const fn with_max_wait(mut self, nanos: u64) -> Self {
        if let Rule::Gcra(gcra) = self.rule {
            self.rule = Rule::Gcra(gcra.with_max_wait(nanos));
        }
        self
    }
}

const fn checked(count: u32, period: Duration) -> Result<(), InvalidQuota> {
    let nanos = period.as_nanos();
    let kind = if count == 0 {
        InvalidQuotaKind::Count
    } else if nanos < MIN_PERIOD.as_nanos() || nanos > MAX_PERIOD.as_nanos() {
        InvalidQuotaKind::Period
    } else if nanos < count as u128 {
        InvalidQuotaKind::Rate
    } else {
        return Ok(());
    };
    Err(InvalidQuota::new(kind))
}

/// Rounded up: the rate is never above what was asked for. A checked period is below 2^55 ns.
const fn interval(count: u32, period: Duration) -> u64 {
    (period.as_nanos() as u64).div_ceil(count as u64)
}

const MIN_PERIOD: Duration = Duration::from_millis(1);
const MAX_PERIOD: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests;
