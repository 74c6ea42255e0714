//! What plays are made of.

use super::{
    super::terms::{Meter, Terms},
    SECOND,
    dice::Dice,
    program::ages,
    stage::{Act, Fate, Moment},
};

/// Writes the acts of a play.
pub(super) struct Writer<'a> {
    pub(super) terms: &'a Terms,
    pub(super) replicas: usize,
    pub(super) acts: Vec<Act>,
    pub(super) dice: &'a mut Dice,
}

impl Writer<'_> {
    /// What a play begins with. Some themes have to find something that is not on lease yet.
    pub(super) fn opening(&mut self, leases: bool) {
        match self.dice.below(3) {
            0 => {}
            1 => {
                let any = self.dice.below(SECOND);
                self.wait(Moment::In(any));
            }
            // Hammers.
            _ => {
                self.dump();
                self.wait(Moment::Drained);
            }
        }
        if leases {
            self.lease_all(40);
        }
    }

    /// Everybody leases, asks of before come once more in between.
    pub(super) fn lease_all(&mut self, again: u64) {
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
        let cost = self.heat();
        self.acts.push(Act::Heat { replica, cost });
        let times = self.dice.pick(&[0, 0, 0, 0, 0, 1, 3]);
        self.acts.push(Act::Ask {
            replica,
            times,
            fate,
        });
    }

    /// An ask of before is done once more, or at last.
    pub(super) fn again(&mut self) {
        let ask = self.dice.magnitude(1, 2 * self.replicas as u64) as usize - 1;
        self.acts.push(Act::Execute { ask });
        if self.dice.percent(40) {
            self.acts.push(Act::Answer { ask });
        }
    }

    pub(super) fn spend_some(&mut self) {
        for replica in 0..self.replicas {
            if self.dice.percent(50) {
                let most = u64::from(self.terms.reserve);
                let units = self.dice.magnitude(1, most) as u32;
                self.acts.push(Act::Spend { replica, units });
            }
        }
    }

    /// Everybody leases again and again, as soon as nothing is owed.
    pub(super) fn lease_when_drained(&mut self) {
        for _ in 0..self.dice.between(1, 4) {
            self.wait(Moment::Drained);
            self.lease_all(0);
        }
    }

    /// An ask that wants no lease, since hardly anybody has come for a second, and comes twice.
    pub(super) fn cold_asks(&mut self) {
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
    pub(super) fn late_answers(&mut self) {
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

    pub(super) fn finale(&mut self) {
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
            if self.dice.percent(20) {
                self.take_back();
            }
            self.dump();
            if !spend_first {
                self.spend_all();
            }
            if self.dice.percent(20) {
                self.take_back();
                self.dump();
            }
        }
    }

    /// Requests come to nothing, and are not counted.
    pub(super) fn take_back(&mut self) {
        for _ in 0..self.dice.between(1, 6) {
            if self.dice.percent(20) {
                let moment = self.moment();
                self.wait(moment);
            }
            let replica = self.replica();
            let admission = self.dice.magnitude(1, 30) as usize - 1;
            let fate = self
                .dice
                .pick(&[Fate::Answered, Fate::Answered, Fate::Sent]);
            self.acts.push(Act::TakeBack {
                replica,
                admission,
                fate,
            });
            let most = self.dice.below(3);
            for _ in 0..most {
                self.acts.push(Act::Execute { ask: 0 });
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
    pub(super) fn dump(&mut self) {
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

    /// The cost of one request after which a replica wants all that can be leased.
    fn heat(&self) -> u32 {
        let reserve = self.terms.reserve;
        let units = u64::from(reserve) * 600_000 / self.terms.age;
        (units as u32).max(reserve) + 1
    }

    pub(super) fn moment(&mut self) -> Moment {
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

    pub(super) fn wait(&mut self, until: Moment) {
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

    pub(super) fn replica(&mut self) -> usize {
        self.dice.index(self.replicas)
    }
}
