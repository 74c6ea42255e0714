use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Reads time: the one door through which the layers learn it.
///
/// Engines take `now` as a parameter; layers read it here, once per request. Tests hand in a
/// [`ManualClock`].
pub trait Clock: Send + Sync {
    /// Nanoseconds since an arbitrary origin that stays the same for the life of the clock.
    ///
    /// Only differences mean anything. It should never go backwards; where it does, limits mint
    /// nothing.
    fn monotonic_nanos(&self) -> u64;

    /// The wall clock, for whatever outlives the process or is shown to others.
    fn wall(&self) -> SystemTime;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn monotonic_nanos(&self) -> u64 {
        (**self).monotonic_nanos()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
    }
}

/// The machine's clocks.
///
/// The monotonic one is the processor's time stamp counter where that is reliable, and the
/// operating system's otherwise (crate `quanta`): a decision of a rate limiter costs about as much
/// as one reading of `std::time::Instant`.
#[derive(Clone)]
pub struct SystemClock {
    clock: quanta::Clock,
}

impl SystemClock {
    /// Finds the processor's counter: build it once, not per request.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: quanta::Clock::new(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemClock").finish_non_exhaustive()
    }
}

impl Clock for SystemClock {
    fn monotonic_nanos(&self) -> u64 {
        self.clock.delta_as_nanos(0, self.clock.raw())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until it is told to move, for tests of your own stack.
///
/// Clones share one time. It starts an hour after its origin, at 2030-01-01T00:00:00Z.
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_core::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.monotonic_nanos();
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.monotonic_nanos() - before, 1_000_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    readings: Arc<Readings>,
}

#[derive(Debug)]
struct Readings {
    monotonic: AtomicU64,
    /// Nanoseconds since the epoch; `u64` reaches the year 2554.
    wall: AtomicU64,
}

impl ManualClock {
    /// A clock that reads the same every time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            readings: Arc::new(Readings {
                monotonic: AtomicU64::new(nanos(Duration::from_secs(3600))),
                wall: AtomicU64::new(nanos(Duration::from_secs(START_OF_2030))),
            }),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.readings
            .monotonic
            .fetch_add(nanos(by), Ordering::SeqCst);
        self.readings.wall.fetch_add(nanos(by), Ordering::SeqCst);
    }

    /// Sets the monotonic reading, also to an earlier one: broken clocks exist.
    pub fn set_monotonic_nanos(&self, reading: u64) {
        self.readings.monotonic.store(reading, Ordering::SeqCst);
    }

    /// Sets the wall clock, also to an earlier time; one before 1970 reads as 1970.
    pub fn set_wall(&self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.readings.wall.store(nanos(since), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn monotonic_nanos(&self) -> u64 {
        self.readings.monotonic.load(Ordering::SeqCst)
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.readings.wall.load(Ordering::SeqCst))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const START_OF_2030: u64 = 1_893_456_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_share_its_time() {
        let clock = ManualClock::new();
        let seen_elsewhere = clock.clone();
        let (monotonic, wall) = (clock.monotonic_nanos(), clock.wall());

        clock.advance(Duration::from_millis(1500));
        assert_eq!(seen_elsewhere.monotonic_nanos() - monotonic, 1_500_000_000);
        assert_eq!(seen_elsewhere.wall(), wall + Duration::from_millis(1500));

        clock.set_monotonic_nanos(7);
        clock.set_wall(UNIX_EPOCH);
        assert_eq!(seen_elsewhere.monotonic_nanos(), 7);
        assert_eq!(seen_elsewhere.wall(), UNIX_EPOCH);
    }

    #[test]
    fn the_system_clock_counts_nanoseconds() {
        let clock = SystemClock::new();
        let (wall, before) = (clock.wall(), clock.monotonic_nanos());
        while clock.monotonic_nanos() - before < 5_000_000 {}
        let by_wall = clock.wall().duration_since(wall).unwrap();
        // Within a factor of ten: the unit is right, whatever else the machine does meanwhile.
        assert!(by_wall >= Duration::from_micros(500), "{by_wall:?}");
    }
}
