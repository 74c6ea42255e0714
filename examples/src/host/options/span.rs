//! Engine: lengths of time as they are written in flags.

use std::{fmt, num::NonZeroU64, str::FromStr, time::Duration};

/// A length of time, written as a count and one of s, m, h, d.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86_400,
            _ => return Err(InvalidSpan::Form),
        };
        let count = text.get(..text.len() - 1).unwrap_or_default();
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidSpan::Form);
        }
        let count: NonZeroU64 = count.parse().map_err(|_| InvalidSpan::Form)?;
        let seconds = count
            .get()
            .checked_mul(unit)
            .filter(|seconds| *seconds <= MAX_SPAN)
            .ok_or(InvalidSpan::Range)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl Span {
    /// Reads one of `min` to `max` seconds.
    pub(super) fn within(
        min: u64,
        max: u64,
    ) -> impl Fn(&str) -> Result<Self, String> + Clone + Send + Sync + 'static {
        move |text| {
            let span: Self = text
                .parse()
                .map_err(|error: InvalidSpan| error.to_string())?;
            if (min..=max).contains(&span.0.as_secs()) {
                Ok(span)
            } else {
                Err(format!("must be {min}s to {max}s"))
            }
        }
    }
}

/// How long a runtime token lives: 1 minute to 30 days.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenTtl(Span);

impl TokenTtl {
    /// The time itself.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0.0
    }
}

impl FromStr for TokenTtl {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let span: Span = text.parse()?;
        if span.0 < MIN_TOKEN_TTL {
            Err(InvalidSpan::Range)
        } else {
            Ok(Self(span))
        }
    }
}

/// A length of time that is none or not an allowed one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidSpan {
    /// Not a positive count followed by a unit.
    Form,
    /// Outside the allowed range.
    Range,
}

impl fmt::Display for InvalidSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "must be a positive count followed by s, m, h or d, e.g. 24h",
            Self::Range => "is outside the allowed range: a token lives 1m to 30d, nothing lasts longer than 30d",
        })
    }
}

impl std::error::Error for InvalidSpan {}

const MIN_TOKEN_TTL: Duration = Duration::from_secs(60);
const MAX_SPAN: u64 = 30 * 86_400;
