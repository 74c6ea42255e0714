//! A play, act by act: no chance, and a network that does what the play says.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    super::{
        ask::{Answer, Operation},
        known::Local,
        ledger,
        terms::Terms,
    },
    MICRO,
    clock::Clock,
    mutation::Mutation,
    program::START,
    replica::{Envelope, Replica},
    server::Server,
};

/// One policy, one key, and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) terms: Terms,
    pub(super) clocks: Vec<Clock>,
    pub(super) acts: Vec<Act>,
}

/// Asks are counted back from the newest.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Somebody comes whom no lease can serve, and gives up: the replica takes the key for hot.
    Heat { replica: usize, cost: u32 },
    /// Requests of one unit come until a lease is spent, or so many.
    Spend { replica: usize, units: u32 },
    /// The replica asks, for so many requests of one unit or for none. Whatever it asked before, it
    /// gives up.
    Ask {
        replica: usize,
        times: u32,
        fate: Fate,
    },
    /// What was admitted is given back, counted back from the newest admission.
    TakeBack {
        replica: usize,
        admission: usize,
        fate: Fate,
    },
    /// The server does what an ask says: late, or once more.
    Execute { ask: usize },
    /// The replica gets the last answer to an ask.
    Answer { ask: usize },
    /// Another process takes its place.
    Crash { replica: usize },
    /// Until so many microseconds after a moment, or before.
    Wait { until: Moment, shift: i64 },
}

/// What becomes of an ask at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Answered,
    /// It is done, and the answer is under way.
    Done,
    /// It is under way.
    Sent,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// So many nanoseconds from now.
    In(u64),
    /// Nothing is owed any more.
    Drained,
    /// The record ends.
    Ended,
    /// The last nanosecond of a replica's newest lease.
    LastOf(usize),
    /// The last nanosecond of the lease that dies first, of the newest of each replica or of all.
    LastOfAll { newest: bool },
}

/// By how many units the worst window was exceeded.
pub(super) fn excess(play: &Play, mutation: Mutation) -> f64 {
    let replica =
        |(number, clock): (usize, &Clock)| Replica::new(number as u64 + 1, *clock, mutation);
    let mut stage = Stage {
        terms: &play.terms,
        now: START,
        server: Server::new(std::slice::from_ref(&play.terms), mutation),
        replicas: play.clocks.iter().enumerate().map(replica).collect(),
        asks: Vec::new(),
        taken_back: BTreeSet::new(),
        ids: play.clocks.len() as u64,
    };
    for act in &play.acts {
        stage.act(*act);
    }
    stage.server.excess()
}

/// The same play without the acts it can do without.
pub(super) fn shortened(play: &Play, mutation: Mutation) -> Play {
    let mut short = play.clone();
    loop {
        let before = short.acts.len();
        for act in (0..before).rev() {
            let mut shorter = short.clone();
            shorter.acts.remove(act);
            if excess(&shorter, mutation) > 0.0 {
                short = shorter;
            }
        }
        if short.acts.len() == before {
            return short;
        }
    }
}

struct Stage<'a> {
    terms: &'a Terms,
    now: u64,
    server: Server,
    replicas: Vec<Replica>,
    asks: Vec<Asked>,
    taken_back: BTreeSet<usize>,
    ids: u64,
}

struct Asked {
    replica: usize,
    envelope: Rc<Envelope>,
    /// The microsecond of the first time.
    executed_at: Option<u64>,
    answer: Option<(Answer, u64)>,
}

impl Stage<'_> {
    fn act(&mut self, act: Act) {
        match act {
            Act::Heat { replica, cost } => {
                let replica = &mut self.replicas[replica];
                if let Local::Spend { .. } = replica.decide(KEY, VERSION, self.now, cost) {
                    self.server.spent(KEY, self.now / MICRO, cost);
                }
            }
            Act::Spend { replica, units } => {
                for _ in 0..units {
                    let replica = &mut self.replicas[replica];
                    match replica.decide(KEY, VERSION, self.now, 1) {
                        Local::Spend { .. } => self.server.spent(KEY, self.now / MICRO, 1),
                        Local::Ask | Local::Deny => break,
                    }
                }
            }
            Act::Ask {
                replica,
                times,
                fate,
            } => {
                let check = (times > 0).then_some(Operation::Check { cost: 1, times });
                self.ask(replica, check, None);
                self.meets(fate);
            }
            Act::TakeBack {
                replica,
                admission,
                fate,
            } => {
                let Some((place, admission)) = self.server.admission(KEY, admission) else {
                    return;
                };
                if admission.units > 0 && self.taken_back.insert(place) {
                    // Nobody knows when a lease was taken, but not before it could live until then.
                    let age = if admission.leased { self.terms.age } else { 0 };
                    let refund = Operation::Refund {
                        cost: admission.units,
                        debited_at: admission.at - age,
                    };
                    self.ask(replica, Some(refund), Some(place));
                    self.meets(fate);
                }
            }
            Act::Execute { ask } => self.execute(ask),
            Act::Answer { ask } => self.answer(ask),
            Act::Crash { replica } => {
                self.ids += 1;
                self.replicas[replica].crash(self.ids);
            }
            Act::Wait { until, shift } => self.wait(until, shift),
        }
    }

    fn meets(&mut self, fate: Fate) {
        if !matches!(fate, Fate::Sent) {
            self.execute(0);
        }
        if matches!(fate, Fate::Answered) {
            self.answer(0);
        }
    }

    fn ask(&mut self, replica: usize, more: Option<Operation>, takes_back: Option<usize>) {
        let asked = self
            .asks
            .iter()
            .rev()
            .find(|asked| asked.replica == replica);
        if let Some(asked) = asked {
            self.replicas[replica].gave_up(&asked.envelope);
        }
        let sender = &mut self.replicas[replica];
        let mut envelope = sender.send(KEY, self.terms, VERSION, self.now, more);
        envelope.takes_back = takes_back;
        self.asks.push(Asked {
            replica,
            envelope: Rc::new(envelope),
            executed_at: None,
            answer: None,
        });
    }

    fn execute(&mut self, ask: usize) {
        if let Some(place) = self.asks.len().checked_sub(1 + ask) {
            let asked = &mut self.asks[place];
            let now = self.now / MICRO;
            let first = *asked.executed_at.get_or_insert(now);
            // No driver goes on sending what takes back for longer than its fence stands.
            if asked.envelope.takes_back.is_some() && now >= first + ledger::FENCE {
                return;
            }
            asked.answer = Some((self.server.execute(&asked.envelope, now), now));
        }
    }

    fn answer(&mut self, ask: usize) {
        if let Some(place) = self.asks.len().checked_sub(1 + ask) {
            let asked = &self.asks[place];
            if let Some((answer, made_at)) = &asked.answer {
                let replica = &mut self.replicas[asked.replica];
                replica.answered(&asked.envelope, self.terms, answer, *made_at, self.now);
            }
        }
    }

    fn wait(&mut self, until: Moment, shift: i64) {
        let micros = self.now / MICRO;
        let until = match until {
            Moment::In(nanos) => self.now + nanos,
            Moment::Drained => self.server.drained_at(KEY, micros) * MICRO,
            Moment::Ended => self.server.ends_at(KEY, micros) * MICRO,
            Moment::LastOf(replica) => {
                let last = self.replicas[replica].last_of_lease(KEY, true, self.now);
                last.unwrap_or(self.now)
            }
            Moment::LastOfAll { newest } => {
                let last = |replica: &Replica| replica.last_of_lease(KEY, newest, self.now);
                let first = self.replicas.iter().filter_map(last).min();
                first.unwrap_or(self.now)
            }
        };
        let until = until.saturating_add_signed(shift * MICRO as i64);
        self.now = self.now.max(until);
    }
}

const KEY: usize = 0;
const VERSION: u64 = 1;
