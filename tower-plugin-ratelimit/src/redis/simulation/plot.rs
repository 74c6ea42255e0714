//! Plays that aim at the rules which keep the bound.
//!
//! All of them lease, hold what they have to the last microsecond, and then spend it together with the
//! whole burst. What differs is how they get at more than may be out.

use super::{
    super::terms::{Meter, Terms},
    MICRO, SECOND,
    dice::Dice,
    program::{ages, clock, policy},
    stage::{Act, Fate, Moment, Play},
};

/// Writes a play.
pub(super) fn write(dice: &mut Dice) -> Play {
    let theme = dice.below(12);
    let terms = leased(
        dice,
        if theme == COLD {
            SECOND * 3 / 2 / MICRO
        } else {
            0
        },
    );
    let replicas = match dice.below(20) {
        // More than may hold a lease at the same time.
        0 => 70,
        _ => dice.between(2, 9) as usize,
    };
    let mut writer = Writer {
        hot: heat(&terms),
        terms: &terms,
        replicas,
        acts: Vec::new(),
        dice,
    };
    writer.opening(theme);
    writer.middle(theme);
    while writer.dice.percent(25) {
        let theme = writer.dice.below(12);
        writer.middle(theme);
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

/// The cost of one request after which a replica wants all that can be leased.
fn heat(terms: &Terms) -> u32 {
    let units = u64::from(terms.reserve) * 600_000 / terms.age;
    (units as u32).max(terms.reserve) + 1
}

struct Writer<'a> {
    terms: &'a Terms,
    replicas: usize,
    hot: u32,
    acts: Vec<Act>,
    dice: &'a mut Dice,
}

impl Writer<'_> {
    fn opening(&mut self, theme: u64) {
        match self.dice.below(3) {
            0 => {}
            1 => self.acts.push(Act::Wait {
                until: Moment::In(self.dice.below(SECOND)),
                shift: 0,
            }),
            // Hammers.
            _ => {
                self.dump();
                self.wait(Moment::Drained);
            }
        }
        // These have to find something that is not on lease yet.
        if theme != COLD && !LATE.contains(&theme) {
            self.lease_all(40);
        }
    }

    fn middle(&mut self, theme: u64) {
        match theme {
            0 => self.lease_all(0),
            1 | 2 => self.lease_all(60),
            3 | 4 => {
                for _ in 0..self.dice.between(1, 4) {
                    self.wait(Moment::Drained);
                    self.lease_all(0);
                }
            }
            5 => {
                let moment = self.moment();
                self.wait(moment);
                self.lease_all(20);
            }
            6 => self.spend_some(),
            COLD => self.cold_asks(),
            _ if LATE.contains(&theme) => self.late_answers(),
            10 => {
                for _ in 0..self.dice.between(1, 4) {
                    self.again();
                }
            }
            _ => {
                let replica = self.replica();
                self.acts.push(Act::Crash { replica });
            }
        }
    }

    /// Everybody leases, asks of before come once more in between.
    fn lease_all(&mut self, again: u64) {
        let everybody = self.dice.percent(70);
        let from = self.replica();
        for replica in 0..self.replicas {
            if everybody || self.dice.percent(50) {
                let replica = (from + replica) % self.replicas;
                self.lease(replica, Fate::Answered);
            }
            if self.dice.percent(again) {
                self.again();
            }
        }
    }

    fn lease(&mut self, replica: usize, fate: Fate) {
        let cost = self.hot;
        self.acts.push(Act::Heat { replica, cost });
        let times = self.dice.pick(&[0, 0, 0, 0, 0, 1, 3]);
        self.acts.push(Act::Ask {
            replica,
            times,
            fate,
        });
    }

    /// An ask of before is done once more, or at last.
    fn again(&mut self) {
        let ask = self.dice.magnitude(1, 2 * self.replicas as u64) as usize - 1;
        self.acts.push(Act::Execute { ask });
        if self.dice.percent(40) {
            self.acts.push(Act::Answer { ask });
        }
    }

    fn spend_some(&mut self) {
        for replica in 0..self.replicas {
            if self.dice.percent(50) {
                let most = u64::from(self.terms.reserve);
                let units = self.dice.magnitude(1, most) as u32;
                self.acts.push(Act::Spend { replica, units });
            }
        }
    }

    /// An ask that wants no lease, since hardly anybody has come for a second, and comes twice.
    fn cold_asks(&mut self) {
        let replica = self.replica();
        self.lease(replica, Fate::Answered);
        let most = u64::from(self.terms.reserve / 3).max(1);
        let units = self.dice.between(1, most) as u32;
        self.acts.push(Act::Spend { replica, units });
        if self.dice.percent(75) {
            self.lease_all(0);
        }
        // What is remembered of who came is looked at four times a second, and gone after one.
        self.wait(Moment::In(SECOND / 4));
        self.acts.push(Act::Spend { replica, units: 1 });
        let long = self.dice.between(SECOND, SECOND + SECOND / 10);
        self.wait(Moment::In(long));
        let fate = self.dice.pick(&[Fate::Answered, Fate::Done, Fate::Sent]);
        self.acts.push(Act::Ask {
            replica,
            times: 0,
            fate,
        });
        for _ in 0..self.dice.between(1, 3) {
            self.acts.push(Act::Execute { ask: 0 });
        }
        self.lease_all(0);
    }

    /// Answers that take as long as a lease lives, or nearly.
    fn late_answers(&mut self) {
        let replicas = self.dice.between(1, self.replicas as u64) as usize;
        let fate = self.dice.pick(&[Fate::Done, Fate::Done, Fate::Sent]);
        for replica in 0..replicas {
            self.lease(replica, fate);
        }
        let [age, ..] = ages(self.terms);
        let long = age / 100 * self.dice.between(40, 130);
        self.wait(Moment::In(long));
        if self.dice.percent(20) {
            self.lease_all(0);
        }
        let back = self.dice.pick(&[0, 0, replicas]);
        for ask in back..back + replicas {
            if matches!(fate, Fate::Sent) {
                self.acts.push(Act::Execute { ask });
            }
            self.acts.push(Act::Answer { ask });
        }
        if self.dice.percent(70) {
            self.wait(Moment::In(age.saturating_sub(long)));
            self.lease_all(0);
        }
    }

    fn finale(&mut self) {
        if self.dice.percent(20) {
            self.lease_all(0);
        }
        for _ in 0..self.dice.between(1, 2) {
            let moment = match self.dice.below(6) {
                0 => Moment::Drained,
                1 => self.moment(),
                _ => self.last_of_all(),
            };
            self.wait(moment);
            let spend_first = self.dice.percent(50);
            if spend_first {
                self.spend_all();
            }
            self.dump();
            if !spend_first {
                self.spend_all();
            }
        }
    }

    fn spend_all(&mut self) {
        for replica in 0..self.replicas {
            self.acts.push(Act::Spend {
                replica,
                units: u32::MAX,
            });
        }
    }

    /// Asks for more than the whole burst.
    fn dump(&mut self) {
        let bursts = self.terms.meters.iter().map(|meter| match meter {
            Meter::Rate(rate) => rate.burst,
            Meter::Calendar { limit, .. } => *limit,
        });
        self.acts.push(Act::Ask {
            replica: self.dice.index(self.replicas),
            times: bursts.max().unwrap_or(0),
            fate: Fate::Done,
        });
    }

    fn moment(&mut self) -> Moment {
        let [age, twice, drain] = ages(self.terms);
        match self.dice.below(9) {
            0 => Moment::In(age),
            1 => Moment::In(twice),
            2 => Moment::In(drain),
            3 => Moment::In(age - age / 100),
            4 => Moment::In(self.dice.below(age)),
            5 => Moment::Drained,
            6 => Moment::Ended,
            7 => Moment::LastOf(self.replica()),
            _ => self.last_of_all(),
        }
    }

    fn wait(&mut self, until: Moment) {
        let shift = match until {
            // A record lives for whole milliseconds.
            Moment::Drained => self.dice.pick(&[-1, 0, 1, 1_000]),
            _ => self.dice.pick(&[-1, 0, 0, 1]),
        };
        self.acts.push(Act::Wait { until, shift });
    }

    fn last_of_all(&mut self) -> Moment {
        let newest = self.dice.percent(30);
        Moment::LastOfAll { newest }
    }

    fn replica(&mut self) -> usize {
        self.dice.index(self.replicas)
    }
}

/// The theme for which a lease has to live longer than a second.
const COLD: u64 = 7;
/// The themes in which answers are late.
const LATE: [u64; 2] = [8, 9];
