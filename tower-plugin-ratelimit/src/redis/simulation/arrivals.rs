//! Who comes when, where and at what cost.

use std::rc::Rc;

use super::dice::Dice;

/// Requests that come one after the other.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) gaps: Gaps,
    /// How many come at the same time, at most.
    pub(super) together: u32,
    pub(super) keys: Which,
    pub(super) replicas: Which,
    pub(super) costs: Vec<u32>,
    /// How many more times somebody comes.
    pub(super) left: u32,
}

/// Nanoseconds from one arrival to the next.
#[derive(Clone, Debug)]
pub(super) enum Gaps {
    Steady(u64),
    /// On average; as it is where nobody knows of the others.
    Poisson(u64),
    OneOf(Vec<u64>),
}

#[derive(Clone, Debug)]
pub(super) enum Which {
    This(usize),
    AnyOf(usize),
    /// The first is the most popular one.
    Zipf(Rc<[f64]>),
}

impl Gaps {
    pub(super) fn next(&self, dice: &mut Dice) -> u64 {
        match self {
            Self::Steady(gap) => *gap,
            Self::Poisson(mean) => (-(1.0 - dice.share()).ln() * *mean as f64) as u64,
            Self::OneOf(gaps) => dice.pick(gaps),
        }
    }
}

impl Which {
    pub(super) fn zipf(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |place: usize| (place as f64).powf(-exponent);
        let sums: Vec<f64> = (1..=count)
            .map(|place| {
                sum += weight(place);
                sum
            })
            .collect();
        Self::Zipf(sums.iter().map(|until| until / sum).collect())
    }

    pub(super) fn next(&self, dice: &mut Dice) -> usize {
        match self {
            Self::This(index) => *index,
            Self::AnyOf(count) => dice.index(*count),
            Self::Zipf(shares) => {
                let drawn = dice.share();
                shares
                    .partition_point(|share| *share <= drawn)
                    .min(shares.len() - 1)
            }
        }
    }
}
