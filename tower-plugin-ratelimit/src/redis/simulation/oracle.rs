//! Whether any window saw more than it may.

use super::super::{
    ask::period_end,
    terms::{Meter, Rate, Terms},
};

/// Watches one key: a bucket with the full burst for each rate, a counter for each calendar.
///
/// A bucket overflows exactly when a window that ends now has seen more than `burst + rate * W`, and
/// by as much as the worst of them has. All of it is in whole parts, so an excess of 0 is exactly 0.
#[derive(Clone, Debug)]
pub(super) struct Oracle {
    watches: Vec<Watch>,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
enum Watch {
    Bucket {
        rate: Rate,
        owed: u64,
        most: u64,
    },
    Counter {
        meter: Meter,
        end: u64,
        count: u64,
        most: u64,
    },
}

impl Oracle {
    pub(super) fn new(terms: &Terms) -> Self {
        let watch = |meter: &Meter| match *meter {
            Meter::Rate(rate) => Watch::Bucket {
                rate,
                owed: 0,
                most: 0,
            },
            meter @ Meter::Calendar { .. } => Watch::Counter {
                meter,
                end: 0,
                count: 0,
                most: 0,
            },
        };
        Self {
            watches: terms.meters.iter().map(watch).collect(),
            last: 0,
        }
    }

    /// Units admitted at `now`, in microseconds of true time; never earlier than those before.
    pub(super) fn admit(&mut self, now: u64, units: u64) {
        assert!(now >= self.last, "admissions come in the order of time");
        let elapsed = now - self.last;
        self.last = now;
        for watch in &mut self.watches {
            match watch {
                Watch::Bucket { rate, owed, most } => {
                    *owed = owed.saturating_sub(elapsed.saturating_mul(rate.leak));
                    *owed += units * rate.unit;
                    *most = (*most).max(*owed);
                }
                Watch::Counter {
                    meter: Meter::Calendar { period, .. },
                    end,
                    count,
                    most,
                } => {
                    let current = period_end(*period, now);
                    if *end != current {
                        *end = current;
                        *count = 0;
                    }
                    *count += units;
                    *most = (*most).max(*count);
                }
                Watch::Counter { .. } => unreachable!("only calendars are counted"),
            }
        }
    }

    /// By how many units the worst window of any quota was exceeded.
    pub(super) fn excess(&self) -> f64 {
        let excess = |watch: &Watch| match *watch {
            Watch::Bucket { rate, most, .. } => {
                most.saturating_sub(rate.capacity()) as f64 / rate.unit as f64
            }
            Watch::Counter { meter, most, .. } => match meter {
                Meter::Calendar { limit, .. } => most.saturating_sub(limit.into()) as f64,
                Meter::Rate(_) => 0.0,
            },
        };
        self.watches.iter().map(excess).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn the_oracle_agrees_with_a_look_at_every_window() {
        let mut dice = super::super::dice::Dice::new(1);
        for _ in 0..500 {
            let (count, burst) = (dice.between(1, 9), dice.between(1, 9));
            let quota = format!("{count}/7ms:{burst}").parse().unwrap();
            let terms = Terms::exact(&Policy::new("p", [quota]).unwrap());
            let Meter::Rate(rate) = terms.meters[0] else {
                unreachable!()
            };
            let mut oracle = Oracle::new(&terms);
            let (mut now, mut admissions) = (0, Vec::new());
            for _ in 0..dice.between(1, 20) {
                now += dice.below(4_000);
                let units = dice.between(1, 3);
                oracle.admit(now, units);
                admissions.push((now, units));
            }
            let mut worst = 0_i128;
            for (first, &(from, _)) in admissions.iter().enumerate() {
                let mut units = 0;
                for &(to, more) in &admissions[first..] {
                    units += more;
                    let may = i128::from(rate.capacity() + rate.leak * (to - from));
                    worst = worst.max(i128::from(units * rate.unit) - may);
                }
            }
            assert_eq!(oracle.excess(), worst as f64 / rate.unit as f64);
        }
    }
}
