//! Engine: when the next call in a line may go, by a quota of our own and by what the server says is
//! left of its.
//!
//! The quota is GCRA's (see [`gcra`](crate::gcra)) with one difference: who waits is not refused, so
//! the question is not whether but when. The nth in line goes when n units fit at once, which leaves
//! one to each before it; so nobody is overtaken, and everybody can be told how long it takes.
//!
//! Times are nanoseconds since an origin of the caller's choice. A clock that goes back is taken for
//! one that stood still.

use crate::gcra::Gcra;

/// A quota of our own, and when to heed the server's.
///
/// ```
/// use tower_plugin_ratelimit::client::throttle::{Headroom, Pace, Pacer, Verdict};
/// use tower_plugin_ratelimit::gcra::Gcra;
///
/// // One every 100 ns; the server is heeded when it has 10 units left or fewer.
/// let pacer = Pacer::new(Gcra::new(100, 1).unwrap(), 10);
/// let mut pace = Pace::default();
/// assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Go);
/// assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Wait { nanos: 100 });
/// assert_eq!(pacer.wait(&mut pace, 1000, 2), 300); // with two others before it
///
/// // Four units for 2000 ns: one every 500.
/// pacer.observe(&mut pace, 1000, &[Headroom::new(4, 2000)]);
/// assert_eq!(pacer.decide(&mut pace, 1000), Verdict::Wait { nanos: 500 });
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pacer {
    interval: u64,
    capacity: u64,
    low_water: u64,
}

/// What [`Pacer::decide`] finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "now or later; a line knows no third"
)]
#[must_use]
pub enum Verdict {
    /// Go now; it is debited.
    Go,
    /// Ask again later; nothing is debited.
    Wait {
        /// How much later, if nobody in front leaves and the server says nothing new.
        nanos: u64,
    },
}

/// What a server says is left of one of its quotas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Headroom {
    remaining: u64,
    reset: u64,
}

impl Headroom {
    /// `remaining` units, and more of them in `reset` nanoseconds.
    #[must_use]
    pub const fn new(remaining: u64, reset: u64) -> Self {
        Self { remaining, reset }
    }

    /// How many units are left.
    #[must_use]
    pub const fn remaining(self) -> u64 {
        self.remaining
    }

    /// Nanoseconds until there are more.
    #[must_use]
    pub const fn reset(self) -> u64 {
        self.reset
    }
}

/// The state of a line: nothing debited, nothing heard from the server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pace {
    /// GCRA's theoretical arrival time.
    tat: u64,
    /// When the last one went.
    last: u64,
    slow: Option<Slow>,
    /// The latest time that was seen.
    seen: u64,
}

/// What is left at the server, spread until there is more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Slow {
    interval: u64,
    until: u64,
}

impl Pacer {
    /// A quota, and how many units are left at the server when it is heeded.
    #[must_use]
    pub const fn new(quota: Gcra, low_water: u64) -> Self {
        Self {
            interval: quota.interval(),
            capacity: quota.capacity(),
            low_water,
        }
    }

    /// Whether the first in line goes now.
    pub fn decide(self, pace: &mut Pace, now: u64) -> Verdict {
        match self.wait(pace, now, 0) {
            0 => {
                pace.tat = pace.tat.max(now).saturating_add(self.interval);
                pace.last = now;
                Verdict::Go
            }
            nanos => Verdict::Wait { nanos },
        }
    }

    /// How many nanoseconds one waits that has `ahead` others before it.
    pub fn wait(self, pace: &mut Pace, now: u64, ahead: u32) -> u64 {
        pace.catch_up(now);
        let place = u64::from(ahead) + 1;
        let tat = pace.tat.max(now);
        let ready = match pace.slow.filter(|slow| slow.until > now) {
            Some(slow) => self.ready_while_slow(slow, pace, now, place),
            None => self.ready(tat, place),
        };
        ready.saturating_sub(now)
    }

    /// Sends nothing for `nanos`, an hour at most, and starts without a burst then.
    pub fn pause(self, pace: &mut Pace, now: u64, nanos: u64) {
        pace.catch_up(now);
        let spent = now
            .saturating_add(nanos.min(MAX_PAUSE))
            .saturating_add(self.capacity - self.interval);
        pace.tat = pace.tat.max(spent);
    }

    /// Heeds what the server says: nothing left is a [`pause`](Self::pause), little is spread until
    /// there is more. What it said before is forgotten, but for a pause. Returns whether that may let
    /// somebody go earlier.
    pub fn observe(self, pace: &mut Pace, now: u64, said: &[Headroom]) -> bool {
        pace.catch_up(now);
        let before = pace.slow.take();
        for headroom in said {
            let reset = headroom.reset.min(MAX_PAUSE);
            if headroom.remaining == 0 {
                self.pause(pace, now, reset);
            } else if headroom.remaining <= self.low_water {
                let slow = Slow {
                    interval: reset / headroom.remaining,
                    until: now.saturating_add(reset),
                };
                pace.slow = pace
                    .slow
                    .filter(|other| other.interval >= slow.interval)
                    .or(Some(slow));
            }
        }
        before.is_some_and(|before| {
            pace.slow
                .is_none_or(|slow| slow.interval < before.interval || slow.until < before.until)
        })
    }

    /// When GCRA lets the one at this place go, 1 being the first.
    const fn ready(self, tat: u64, place: u64) -> u64 {
        tat.saturating_add(self.interval.saturating_mul(place))
            .saturating_sub(self.capacity)
    }

    /// The same while the server has little left: evenly and without a burst until it has more, then
    /// by our own quota again.
    fn ready_while_slow(self, slow: Slow, pace: &Pace, now: u64, place: u64) -> u64 {
        let interval = slow.interval.max(self.interval);
        let tat = pace.tat.max(now);
        let first = pace
            .last
            .saturating_add(interval)
            .min(slow.until)
            .max(self.ready(tat, 1))
            .max(now);
        // So many go before the server has more.
        let before = slow.until.saturating_sub(first).div_ceil(interval);
        let at_place = |place: u64| first.saturating_add(interval.saturating_mul(place - 1));
        if place <= before {
            return at_place(place);
        }
        let start = slow.until.max(first);
        let tat = match before {
            0 => tat,
            _ => tat
                .saturating_add(self.interval.saturating_mul(before))
                .max(at_place(before).saturating_add(self.interval)),
        };
        self.ready(tat.max(start), place - before).max(start)
    }
}

impl Pace {
    /// Moves all times back with a clock that goes back.
    fn catch_up(&mut self, now: u64) {
        let back = self.seen.saturating_sub(now);
        self.seen = now;
        if back > 0 {
            self.tat = self.tat.saturating_sub(back);
            self.last = self.last.saturating_sub(back);
            if let Some(slow) = &mut self.slow {
                slow.until = slow.until.saturating_sub(back);
            }
        }
    }
}

/// An hour. A server may be mistaken for longer, and is asked again then.
const MAX_PAUSE: u64 = 3_600_000_000_000;

#[cfg(test)]
mod tests;
