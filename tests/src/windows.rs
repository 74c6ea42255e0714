//! Whether more was admitted than a quota allows, in any window of time.

use tower_plugin_ratelimit::Quota;

/// Something that was admitted at some time between two readings of one clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Admission {
    /// Nanoseconds, read before it was asked for.
    pub before: u64,
    /// Nanoseconds, read when the answer was there.
    pub after: u64,
    /// What it cost.
    pub units: u32,
}

/// How many units more than `quota` allows were admitted in the worst window; negative if there was
/// always room.
///
/// Nobody knows at which instant between its two readings an admission was made, so it counts in the
/// windows that hold both: if these exceed the quota, every choice of instants does. No allowance is
/// made for time on the way.
///
/// The readings and the limiter are of two clocks, though: one may be slewed (by 500 ppm at most, as
/// NTP does), and Redis' shows microseconds. That much is allowed to the rate, and to the burst.
#[must_use]
pub fn excess(admissions: &[Admission], quota: &Quota) -> f64 {
    let rate = f64::from(quota.count()) / quota.period().as_secs_f64();
    let burst = f64::from(quota.burst()) + rate * CLOCK_RESOLUTION;
    worst(admissions, rate * (1.0 + CLOCK_SLEW)) - burst
}

/// The largest sum of units in a window, less what the rate brings in it.
///
/// Windows begin with a reading before and end with one after. Going back in time over the beginnings,
/// a tree over the ends keeps the best of them: what is in the window up to each, less the rate.
fn worst(admissions: &[Admission], rate: f64) -> f64 {
    let Some(origin) = admissions.iter().map(|admission| admission.before).min() else {
        return f64::NEG_INFINITY;
    };
    let seconds = |nanos: u64| (nanos - origin) as f64 / 1e9;
    let mut by_end = admissions.to_vec();
    by_end.sort_by_key(|admission| admission.after);
    let mut by_beginning: Vec<_> = by_end.iter().enumerate().collect();
    by_beginning.sort_by_key(|(_, admission)| std::cmp::Reverse(admission.before));

    let leaves = by_end.len().next_power_of_two();
    let mut tree = vec![Node::default(); 2 * leaves];
    let mut worst = f64::NEG_INFINITY;
    for (place, admission) in by_beginning {
        let units = f64::from(admission.units);
        let mut node = leaves + place;
        tree[node] = Node {
            units,
            best: units - rate * seconds(admission.after),
        };
        while node > 1 {
            node /= 2;
            let (earlier, later) = (tree[2 * node], tree[2 * node + 1]);
            tree[node] = Node {
                units: earlier.units + later.units,
                best: earlier.best.max(earlier.units + later.best),
            };
        }
        worst = worst.max(tree[1].best + rate * seconds(admission.before));
    }
    worst
}

/// Some ends of windows, next to each other.
#[derive(Clone, Copy)]
struct Node {
    units: f64,
    /// Of the windows that end here: units, less the rate since the origin.
    best: f64,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            units: 0.0,
            best: f64::NEG_INFINITY,
        }
    }
}

const CLOCK_SLEW: f64 = 500e-6;
/// In seconds.
const CLOCK_RESOLUTION: f64 = 2e-6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: u64 = 1_000_000;

    fn admission(before: u64, after: u64) -> Admission {
        Admission {
            before: before * MILLI,
            after: after * MILLI,
            units: 1,
        }
    }

    #[test]
    fn one_too_many_is_seen_and_one_that_may_have_been_earlier_is_not() {
        let quota: Quota = "10/s:2".parse().unwrap();
        let full = [admission(0, 0), admission(0, 0), admission(100, 100)];
        assert!(excess(&full, &quota) <= 0.0);
        let surely = [full.as_slice(), &[admission(101, 102)]].concat();
        assert!(excess(&surely, &quota) > 0.9, "{}", excess(&surely, &quota));
        let perhaps = [full.as_slice(), &[admission(100, 200)]].concat();
        assert!(excess(&perhaps, &quota) <= 0.0);
        assert!(excess(&[], &quota) < 0.0);
    }

    proptest! {
        #[test]
        fn no_window_is_worse_than_the_worst(
            spans in prop::collection::vec((0_u64..50, 0_u64..10, 1_u32..5), 1..30),
            rate in 1_u32..200,
        ) {
            let admissions: Vec<_> = spans
                .into_iter()
                .map(|(before, took, units)| Admission { units, ..admission(before, before + took) })
                .collect();
            let rate = f64::from(rate);
            let mut expected = f64::NEG_INFINITY;
            for first in &admissions {
                for last in admissions.iter().filter(|last| last.after >= first.before) {
                    let within = admissions
                        .iter()
                        .filter(|one| one.before >= first.before && one.after <= last.after);
                    let units: u32 = within.map(|one| one.units).sum();
                    let length = (last.after - first.before) as f64 / 1e9;
                    expected = expected.max(f64::from(units) - rate * length);
                }
            }
            prop_assert!((worst(&admissions, rate) - expected).abs() < 1e-6);
        }
    }
}
