//! Plays that aim at the rules which keep the bound.
//!
//! All of them lease, hold what they have to the last microsecond, and then spend it together with the
//! whole burst. What differs is how they get at more than may be out.

use super::{
    super::terms::Terms,
    MICRO, SECOND,
    dice::Dice,
    gesture::Writer,
    program::{clock, policy},
    stage::{Act, Play},
};

/// How a play gets at more than may be out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Theme {
    /// Asks come twice while others lease.
    Again,
    /// Asks that want no lease come twice.
    Cold,
    Crash,
    /// The debt is drained, the leases live.
    Drained,
    /// Answers come late.
    Late,
    Lease,
    /// Asks of before come, whichever.
    Loose,
    Moment,
    Spend,
    TakeBack,
}

impl Theme {
    /// As often as it should come.
    const ALL: [Self; 13] = [
        Self::Again,
        Self::Again,
        Self::Cold,
        Self::Crash,
        Self::Drained,
        Self::Drained,
        Self::Late,
        Self::Late,
        Self::Lease,
        Self::Loose,
        Self::Moment,
        Self::Spend,
        Self::TakeBack,
    ];

    /// Microseconds that a lease has to live.
    const fn age(self) -> u64 {
        match self {
            Self::Cold => SECOND * 3 / 2 / MICRO,
            _ => 0,
        }
    }

    fn write(self, writer: &mut Writer<'_>) {
        match self {
            Self::Again => writer.lease_all(60),
            Self::Cold => writer.cold_asks(),
            Self::Crash => {
                let replica = writer.replica();
                writer.acts.push(Act::Crash { replica });
            }
            Self::Drained => writer.lease_when_drained(),
            Self::Late => writer.late_answers(),
            Self::Lease => writer.lease_all(0),
            Self::Loose => {
                for _ in 0..writer.dice.between(1, 4) {
                    writer.again();
                }
            }
            Self::Moment => {
                let moment = writer.moment();
                writer.wait(moment);
                writer.lease_all(20);
            }
            Self::Spend => writer.spend_some(),
            Self::TakeBack => {
                writer.dump();
                writer.take_back();
            }
        }
    }
}

/// Writes a play.
pub(super) fn write(dice: &mut Dice) -> Play {
    let theme = dice.pick(&Theme::ALL);
    let terms = leased(dice, theme.age());
    let replicas = match dice.below(20) {
        // More than may hold a lease at the same time.
        0 => 70,
        _ => dice.between(2, 9) as usize,
    };
    let mut writer = Writer {
        terms: &terms,
        replicas,
        acts: Vec::new(),
        dice,
    };
    writer.opening(!matches!(theme, Theme::Cold | Theme::Late));
    theme.write(&mut writer);
    while writer.dice.percent(25) {
        writer.dice.pick(&Theme::ALL).write(&mut writer);
    }
    writer.finale();
    let acts = writer.acts;
    let clocks = (0..replicas).map(|_| clock(dice)).collect();
    Play {
        terms,
        clocks,
        acts,
    }
}

/// A policy that is leased, for so many microseconds at least.
fn leased(dice: &mut Dice, age: u64) -> Terms {
    loop {
        let terms = policy(dice, 0);
        if terms.reserve > 0 && terms.age >= age {
            return terms;
        }
    }
}
