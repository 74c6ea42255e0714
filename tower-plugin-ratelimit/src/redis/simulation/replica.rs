//! A replica: its clock, what it knows of each key, and what it has asked.

use std::collections::{HashMap, VecDeque};

use super::{
    super::{
        ask::{Answer, Ask, Operation, Outcome},
        known::{Known, Local},
        terms::Terms,
        view,
    },
    MICRO,
    clock::Clock,
    mutation::Mutation,
};
use crate::decision;

#[derive(Debug)]
pub(super) struct Replica {
    pub(super) clock: Clock,
    id: u64,
    sequence: u64,
    keys: HashMap<usize, Line>,
    mutation: Mutation,
}

/// What it knows of one key, and who waits.
#[derive(Debug, Default)]
struct Line {
    known: Known,
    /// The ask that is on its way.
    flying: Option<u64>,
    waiting: VecDeque<Waiter>,
    /// When its leases die, by its own clock.
    deaths: Vec<u64>,
    /// Mutations: leases it should not spend, with how much of them; what it last said was left.
    dropped: Vec<(Known, u32)>,
    reported: Vec<(u64, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) cost: u32,
    /// By the replica's clock.
    pub(super) gives_up_at: u64,
}

/// An ask on its way.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) replica_id: u64,
    pub(super) key: usize,
    /// Tells it from every other one of its replica.
    pub(super) number: u64,
    pub(super) ask: Ask,
    /// Which admission it takes back, if it does.
    pub(super) takes_back: Option<usize>,
    /// How much of the lease that is kept was spent since the last ask said so.
    pub(super) spent: u32,
    sent_at: u64,
    waiters: Vec<Waiter>,
}

/// How many operations were admitted and how many denied, before anyone gave up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HandedOut {
    pub(super) admitted: u32,
    pub(super) denied: u32,
}

impl Replica {
    pub(super) fn new(id: u64, clock: Clock, mutation: Mutation) -> Self {
        Self {
            clock,
            id,
            sequence: 0,
            keys: HashMap::new(),
            mutation,
        }
    }

    /// The process dies, and another one takes its place.
    pub(super) fn crash(&mut self, id: u64) {
        *self = Self::new(id, self.clock, self.mutation);
    }

    pub(super) fn decide(&mut self, key: usize, version: u64, now: u64, cost: u32) -> Local {
        let now = self.clock.at(now);
        let line = self.keys.entry(key).or_default();
        let local = line.known.decide(version, now, cost);
        if matches!(local, Local::Spend { .. }) {
            return local;
        }
        for (dropped, units) in &mut line.dropped {
            let spends =
                *units >= cost && matches!(dropped.decide(version, now, cost), Local::Spend { .. });
            if spends {
                *units -= cost;
                return Local::Spend { low: false };
            }
        }
        local
    }

    /// Waits for the next ask. Gives up `patience` from now.
    pub(super) fn wait(&mut self, key: usize, now: u64, cost: u32, patience: u64) {
        let gives_up_at = self.clock.at(now).saturating_add(patience);
        let line = self.keys.entry(key).or_default();
        line.waiting.push_back(Waiter { cost, gives_up_at });
    }

    pub(super) fn is_asking(&self, key: usize) -> bool {
        self.keys
            .get(&key)
            .is_some_and(|line| line.flying.is_some())
    }

    pub(super) fn has_waiting(&self, key: usize) -> bool {
        self.keys
            .get(&key)
            .is_some_and(|line| !line.waiting.is_empty())
    }

    /// An ask goes off: with everybody who still waits, and `more` that nobody waits for.
    pub(super) fn send(
        &mut self,
        key: usize,
        terms: &Terms,
        version: u64,
        now: u64,
        more: Option<Operation>,
    ) -> Envelope {
        let now = self.clock.at(now);
        self.sequence += 1;
        let line = self.keys.entry(key).or_default();
        line.flying = Some(self.sequence);
        let waiters: Vec<Waiter> = line
            .waiting
            .drain(..)
            .filter(|waiter| now < waiter.gives_up_at)
            .collect();
        let before = line.known;
        let (keep, surplus) = line.known.ask(version, terms, self.sequence, now);
        let spent = line.report(keep);
        if self.mutation == Mutation::SpendsTheDropped {
            let held = held(before, version, now);
            line.dropped.retain(|(_, units)| *units > 0);
            line.dropped.push((before, held.saturating_sub(keep.1)));
        }
        let mut ask = Ask {
            sequence: if terms.reserve == 0 { 0 } else { self.sequence },
            keep,
            surplus,
            operations: merged(&waiters),
        };
        ask.operations.extend(more);
        self.mutation.rewrite(&mut ask);
        Envelope {
            replica_id: self.id,
            key,
            number: self.sequence,
            ask,
            takes_back: None,
            spent,
            sent_at: now,
            waiters,
        }
    }

    /// An answer is there. `made_at` is when the server gave it, in microseconds.
    pub(super) fn answered(
        &mut self,
        envelope: &Envelope,
        terms: &Terms,
        answer: &Answer,
        made_at: u64,
        now: u64,
    ) -> HandedOut {
        let mut handed = HandedOut::default();
        if envelope.replica_id != self.id {
            return handed;
        }
        let now = self.clock.at(now);
        let line = self.keys.entry(envelope.key).or_default();
        if line.flying == Some(envelope.number) {
            line.flying = None;
        }
        let sent_at = self.mutation.ages_from(envelope.sent_at, now);
        if terms.reserve > 0 {
            let number = envelope.number;
            line.known.leased(terms, number, answer.surplus, sent_at);
            if answer.surplus > 0 {
                let age = terms.age * MICRO;
                let dies = sent_at + age - age / 100;
                line.deaths.retain(|death| *death > now);
                line.deaths.push(dies);
                line.reported.push((number, answer.surplus));
            }
        }
        for (operation, outcome) in envelope.ask.operations.iter().zip(&answer.results) {
            let Operation::Check { cost, times } = *operation else {
                continue;
            };
            if outcome.times > 0 {
                line.known.admitted();
            }
            if outcome.times < times {
                let retry_after = retry_after(terms, cost, outcome, made_at);
                line.known.denied(cost, retry_after, envelope.sent_at);
            }
            let of_this_cost = envelope.waiters.iter().filter(|waiter| waiter.cost == cost);
            for (place, waiter) in (0..times).zip(of_this_cost) {
                match (now < waiter.gives_up_at, place < outcome.times) {
                    (false, _) => {}
                    (true, true) => handed.admitted += 1,
                    (true, false) => handed.denied += 1,
                }
            }
        }
        handed
    }

    /// Nobody waits for this answer any more.
    pub(super) fn gave_up(&mut self, envelope: &Envelope) {
        if envelope.replica_id != self.id {
            return;
        }
        let line = self.keys.entry(envelope.key).or_default();
        if line.flying == Some(envelope.number) {
            line.flying = None;
            line.known.lost(envelope.number);
        }
    }

    /// The last nanosecond of true time at which the oldest or the newest of its leases lives.
    pub(super) fn last_of_lease(&self, key: usize, newest: bool, now: u64) -> Option<u64> {
        let now = self.clock.at(now);
        let deaths = self.keys.get(&key)?.deaths.iter().copied();
        let live = deaths.filter(|death| *death > now);
        let dies = if newest { live.max() } else { live.min() };
        dies.map(|dies| self.clock.last_before(dies))
    }
}

impl Line {
    fn report(&mut self, (sequence, left): (u64, u32)) -> u32 {
        self.reported.retain(|(known, _)| *known >= sequence);
        let kept = self
            .reported
            .iter_mut()
            .find(|(known, _)| *known == sequence);
        kept.map_or(0, |(_, units)| {
            std::mem::replace(units, left).saturating_sub(left)
        })
    }
}

fn held(mut known: Known, version: u64, now: u64) -> u32 {
    let mut units = 0;
    while let Local::Spend { .. } = known.decide(version, now, 1) {
        units += 1;
    }
    units
}

/// Equal costs are one operation, in the order of who came first.
fn merged(waiters: &[Waiter]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for waiter in waiters {
        let same = operations.iter_mut().find_map(|operation| match operation {
            Operation::Check { cost, times } if *cost == waiter.cost => Some(times),
            _ => None,
        });
        match same {
            Some(times) => *times += 1,
            None => operations.push(Operation::Check {
                cost: waiter.cost,
                times: 1,
            }),
        }
    }
    operations
}

/// In how many nanoseconds a cost fits, if nobody else comes.
fn retry_after(terms: &Terms, cost: u32, outcome: &Outcome, made_at: u64) -> u64 {
    let waits = outcome.owed.iter().enumerate().map(|(index, owed)| {
        match view::outcome(terms, index, *owed, made_at, Some(cost)) {
            decision::Outcome::Deny { retry_after } => retry_after,
            decision::Outcome::Allow { .. } | decision::Outcome::CostExceedsBurst => 0,
        }
    });
    waits.max().unwrap_or(0)
}
