//! How long an ask and its answer take, and whether they arrive.

use super::dice::Dice;

/// Durations in nanoseconds, chances in percent.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// One way.
    pub(super) fastest: u64,
    pub(super) slowest: u64,
    /// How often it takes up to [`longest`](Self::longest) instead.
    pub(super) heavy: u64,
    pub(super) longest: u64,
    pub(super) ask_lost: u64,
    pub(super) answer_lost: u64,
    /// How often an ask is done again, by [`longest`](Self::longest) later at most.
    pub(super) again: u64,
}

impl Network {
    /// Always takes half of `round_trip`, and loses nothing.
    pub(super) fn steady(round_trip: u64) -> Self {
        Self {
            fastest: round_trip / 2,
            slowest: round_trip / 2,
            heavy: 0,
            longest: 0,
            ask_lost: 0,
            answer_lost: 0,
            again: 0,
        }
    }

    /// One way, or `None` if it is lost on it.
    pub(super) fn ask(&self, dice: &mut Dice) -> Option<u64> {
        (!dice.percent(self.ask_lost)).then(|| self.way(dice))
    }

    pub(super) fn answer(&self, dice: &mut Dice) -> Option<u64> {
        (!dice.percent(self.answer_lost)).then(|| self.way(dice))
    }

    /// How much later the same ask is done once more.
    pub(super) fn again(&self, dice: &mut Dice) -> Option<u64> {
        dice.percent(self.again)
            .then(|| dice.magnitude(1, self.longest.max(1)))
    }

    fn way(&self, dice: &mut Dice) -> u64 {
        if dice.percent(self.heavy) {
            dice.between(self.slowest, self.longest.max(self.slowest))
        } else {
            dice.between(self.fastest, self.slowest)
        }
    }
}
