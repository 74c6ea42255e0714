//! Engine: exponential backoff with additive jitter.

use std::{fmt, time::Duration};

/// How long to wait before each retry: `initial`, then twice as long each time up to `maximum`, and a
/// random share of up to `jitter` on top, so that those who failed together do not return together.
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_ratelimit::client::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30))?.allow_jitter(0.1)?;
/// assert_eq!(backoff, Backoff::default());
/// assert_eq!(backoff.delay(0, 0), Duration::from_secs(1));
/// assert_eq!(backoff.delay(2, 0), Duration::from_secs(4));
/// // Half way through the random numbers is half of the jitter.
/// assert_eq!(backoff.delay(2, 1 << 63), Duration::from_millis(4200));
/// # Ok::<_, tower_plugin_ratelimit::client::InvalidBackoff>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    initial: Duration,
    maximum: Duration,
    /// In millionths.
    jitter: u32,
}

impl Backoff {
    /// A backoff from `initial` to `maximum` with a jitter of 0.1.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff`] if `initial` is below 1 ms or above `maximum`, or `maximum` above a day.
    pub const fn new(initial: Duration, maximum: Duration) -> Result<Self, InvalidBackoff> {
        if initial.as_millis() == 0 || initial.as_nanos() > maximum.as_nanos() {
            return Err(InvalidBackoff::Initial);
        }
        if maximum.as_nanos() > DAY.as_nanos() {
            return Err(InvalidBackoff::Maximum);
        }
        Ok(Self {
            initial,
            maximum,
            jitter: DEFAULT_JITTER,
        })
    }

    /// Sets how much may be added at random, as a share of the delay: 0.1 is up to a tenth.
    ///
    /// It is added to the maximum too, or else those who wait that long would all return at once.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff`] if `share` is not in 0 to 1.
    pub const fn allow_jitter(mut self, share: f64) -> Result<Self, InvalidBackoff> {
        if !(share >= 0.0 && share <= 1.0) {
            return Err(InvalidBackoff::Jitter);
        }
        self.jitter = (share * MILLION as f64) as u32;
        Ok(self)
    }

    /// The longest delay, without jitter.
    #[must_use]
    pub const fn maximum(self) -> Duration {
        self.maximum
    }

    /// How long to wait before a retry, of which there were `retries` before it.
    ///
    /// `random` is uniform over all of `u64`.
    #[must_use]
    pub fn delay(self, retries: u32, random: u64) -> Duration {
        let base = 2_u32
            .checked_pow(retries)
            .and_then(|factor| self.initial.checked_mul(factor))
            .map_or(self.maximum, |delay| delay.min(self.maximum));
        self.jittered(base, random)
    }

    /// A delay someone else asks for, with the jitter of this backoff: never shorter than asked.
    #[must_use]
    pub fn jittered(self, delay: Duration, random: u64) -> Duration {
        let most = delay.as_nanos().saturating_mul(u128::from(self.jitter)) / u128::from(MILLION);
        // Both below 2^64 in any delay worth waiting for; beyond that the jitter is left out.
        let jitter = most.checked_mul(u128::from(random)).unwrap_or(0) >> 64;
        delay.saturating_add(Duration::from_nanos(u64::try_from(jitter).unwrap_or(0)))
    }
}

/// 1 s to 30 s, with a jitter of 0.1.
impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            maximum: Duration::from_secs(30),
            jitter: DEFAULT_JITTER,
        }
    }
}

/// A backoff that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidBackoff {
    /// The initial delay is below 1 ms or above the maximum.
    Initial,
    /// The jitter is not in 0 to 1.
    Jitter,
    /// The maximum is above a day.
    Maximum,
}

impl fmt::Display for InvalidBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initial => "backoff: initial delay must be in 1 ms to the maximum",
            Self::Jitter => "backoff: jitter must be in 0 to 1",
            Self::Maximum => "backoff: maximum must be at most a day",
        })
    }
}

impl std::error::Error for InvalidBackoff {}

const DAY: Duration = Duration::from_secs(86_400);
const MILLION: u32 = 1_000_000;
const DEFAULT_JITTER: u32 = MILLION / 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_delay_doubles_up_to_the_maximum() {
        let backoff = Backoff::new(ms(100), ms(1000)).unwrap();
        let backoff = backoff.allow_jitter(0.0).unwrap();
        let delays: Vec<_> = (0..6)
            .map(|n| backoff.delay(n, u64::MAX).as_millis())
            .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.delay(u32::MAX, 0), ms(1000));
    }

    #[test]
    fn jitter_is_uniform_and_only_ever_added() {
        let backoff = Backoff::new(ms(100), ms(1000)).unwrap();
        let backoff = backoff.allow_jitter(0.5).unwrap();
        // A full-period sequence, evenly spread.
        let mut tenths = [0_u32; 10];
        for step in 0..10_000_u64 {
            let delay = backoff.delay(0, step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            assert!((ms(100)..ms(150)).contains(&delay), "{delay:?}");
            tenths[((delay - ms(100)).as_nanos() / 5_000_000) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (950..=1050).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(Backoff::new(ms(0), ms(1)), Err(InvalidBackoff::Initial));
        assert_eq!(Backoff::new(ms(2), ms(1)), Err(InvalidBackoff::Initial));
        assert_eq!(
            Backoff::new(ms(1), ms(86_400_001)),
            Err(InvalidBackoff::Maximum)
        );
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let refused = Backoff::default().allow_jitter(share);
            assert_eq!(refused, Err(InvalidBackoff::Jitter), "{share}");
        }
        assert!(Backoff::new(ms(1), ms(1)).is_ok());
        assert!(Backoff::default().allow_jitter(1.0).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::test_cases(1000)))]

        #[test]
        fn no_retry_comes_before_its_time_nor_after_the_jitter(
            retries: u32, random: u64, asked: u64, share in 0.0..=1.0,
        ) {
            let backoff = Backoff::default().allow_jitter(share).unwrap();
            let delay = backoff.delay(retries, random);
            prop_assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(60));
            prop_assert!(backoff.jittered(Duration::from_nanos(asked), random).as_nanos() >= asked.into());
            prop_assert_eq!(backoff.jittered(Duration::MAX, random), Duration::MAX);
        }
    }
}
