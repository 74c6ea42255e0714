//! What is asked of one key in one batch, and who waits for it.

use std::{mem, sync::Arc};

use tokio::sync::oneshot;

use super::{
    ask::{Answer, EPOCH, Operation, Outcome},
    queue::{Group, Trouble, Waiter},
    table::{Entry, Table},
    terms::{Meter, Terms},
    view::{self, View},
    wire::MAX_OPERATIONS,
};
use crate::{Decision, Now, Policy, decision};

/// A key in a batch.
pub(super) struct Flight {
    pub(super) key: u128,
    pub(super) policy: Policy,
    pub(super) terms: Arc<Terms>,
    /// Of its ask; 0 where nothing is leased or taken back.
    pub(super) sequence: u64,
    pub(super) operations: Vec<Operation>,
    /// Who waits for each of the operations.
    seats: Vec<Vec<Seat>>,
}

struct Seat {
    since: u64,
    /// `None` once it is answered.
    answer: Option<oneshot::Sender<Result<Decision, Trouble>>>,
}

impl Flight {
    /// Puts equal checks together. Returns those for whom there was no room.
    pub(super) fn new(group: Group) -> (Self, Option<Group>) {
        let Group {
            key,
            policy,
            terms,
            mut waiters,
        } = group;
        let mut flight = Self {
            key,
            policy,
            terms,
            sequence: 0,
            operations: Vec::new(),
            seats: Vec::new(),
        };
        while let Some(waiter) = waiters.pop_front() {
            if let Err(waiter) = flight.seat(waiter) {
                waiters.push_front(waiter);
                let rest = Group {
                    key,
                    policy: flight.policy.clone(),
                    terms: Arc::clone(&flight.terms),
                    waiters,
                };
                return (flight, Some(rest));
            }
        }
        (flight, None)
    }

    fn seat(&mut self, waiter: Waiter) -> Result<(), Waiter> {
        let next = operation(waiter.operation);
        let joins = match (self.operations.last_mut(), next) {
            (Some(Operation::Check { cost, times }), Operation::Check { cost: same, .. })
                if *cost == same =>
            {
                *times += 1;
                true
            }
            (Some(Operation::Peek { cost, .. }), Operation::Peek { cost: same, .. }) => {
                *cost == same
            }
            _ => false,
        };
        if !joins {
            if self.operations.len() == MAX_OPERATIONS {
                return Err(waiter);
            }
            self.operations.push(next);
            self.seats.push(Vec::new());
        }
        if let Some(seats) = self.seats.last_mut() {
            seats.push(Seat {
                since: waiter.since,
                answer: Some(waiter.answer),
            });
        }
        Ok(())
    }

    /// Sends away who has waited since before then.
    pub(super) fn expire(&mut self, before: u64) {
        for seat in self.seats.iter_mut().flatten() {
            if seat.since <= before {
                seat.answer(Err(Trouble::Late));
            }
        }
    }

    /// Sends away everyone.
    pub(super) fn fail(&mut self, trouble: Trouble) {
        for seat in self.seats.iter_mut().flatten() {
            seat.answer(Err(trouble));
        }
    }

    /// How many wait, or waited, for this.
    pub(super) fn decisions(&self) -> usize {
        self.seats.iter().map(Vec::len).sum()
    }

    /// Remembers what Redis said, and hands it out.
    ///
    /// `server` is Redis' time, `sent_at` and `now` the replica's.
    pub(super) fn land(
        mut self,
        table: &Table,
        answer: &Answer,
        server: u64,
        sent_at: u64,
        now: u64,
    ) {
        let denial = self.denial(answer, server);
        let owed = answer.results.last().map(|last| last.owed.as_slice());
        let learn = |entry: &mut Entry| {
            if let Some(owed) = owed {
                entry.view = View::new(&self.terms, owed, server, now);
            }
            match denial {
                Some(denial) => {
                    entry.view.denies = denial.quota;
                    entry.known.denied(denial.cost, denial.retry_after, sent_at);
                }
                None if owed.is_some() => entry.known.admitted(),
                None => {}
            }
        };
        let version = self.policy.version();
        if self.terms.reserve > 0 {
            table.enter(self.key, now, |entry| {
                // Of other quotas than those that hold now, nothing is worth knowing.
                if entry.known.is_of(version) {
                    learn(entry);
                    let units = answer.surplus;
                    entry
                        .known
                        .leased(&self.terms, self.sequence, units, sent_at);
                }
            });
        } else if denial.is_some() {
            table.enter(self.key, now, |entry| {
                entry.known.update(version);
                learn(entry);
            });
        } else {
            table.look(self.key, |entry| (None, learn(entry)));
        }
        let seats = mem::take(&mut self.seats);
        for ((operation, seats), outcome) in self.operations.iter().zip(seats).zip(&answer.results)
        {
            self.hand_out(*operation, seats, outcome, server, now);
        }
    }

    fn hand_out(
        &self,
        operation: Operation,
        seats: Vec<Seat>,
        outcome: &Outcome,
        server: u64,
        now: u64,
    ) {
        let mut left = outcome.times;
        // Who came first is served first; who has gone away leaves room for others.
        for mut seat in seats.into_iter().filter(|seat| seat.answer.is_some()) {
            let decision = match operation {
                Operation::Check { cost, .. } if left > 0 => {
                    left -= 1;
                    self.decision(outcome, Some((cost, left)), None, server, now)
                }
                Operation::Check { cost, .. } => {
                    self.decision(outcome, None, Some(cost), server, now)
                }
                Operation::Peek { cost, .. } if left == 0 => {
                    self.decision(outcome, None, Some(cost), server, now)
                }
                _ => self.decision(outcome, None, None, server, now),
            };
            seat.answer(Ok(decision));
        }
    }

    /// `after` is the cost of an admission, and how many of them were debited after this one.
    fn decision(
        &self,
        outcome: &Outcome,
        after: Option<(u32, u32)>,
        denied: Option<u32>,
        server: u64,
        now: u64,
    ) -> Decision {
        let mut owed = [0; Policy::MAX_QUOTAS];
        for ((owed, total), meter) in owed.iter_mut().zip(&outcome.owed).zip(&self.terms.meters) {
            let unit = match meter {
                Meter::Calendar { .. } => 1,
                Meter::Rate(rate) => rate.unit,
            };
            let later = after.map_or(0, |(cost, times)| u64::from(cost) * u64::from(times) * unit);
            *owed = total.saturating_sub(later);
        }
        let view = View::new(&self.terms, &owed, server, now);
        view.decision(&self.policy, now, view.wall(now), |index| {
            let owed = owed.get(index).copied().unwrap_or_default();
            view::outcome(&self.terms, index, owed, server, denied)
        })
    }

    /// The smallest cost that was denied last.
    fn denial(&self, answer: &Answer, server: u64) -> Option<Denial> {
        let mut denial: Option<Denial> = None;
        for (operation, outcome) in self.operations.iter().zip(&answer.results) {
            match *operation {
                Operation::Check { cost, times } | Operation::Peek { cost, times } => {
                    let smaller = denial.as_ref().is_none_or(|known| cost <= known.cost);
                    if outcome.times < times && smaller {
                        denial = self.longest_wait(cost, outcome, server);
                    }
                }
                Operation::Charge { .. } => {}
                Operation::Refund { .. } | Operation::Reset => denial = None,
            }
        }
        denial
    }

    fn longest_wait(&self, cost: u32, outcome: &Outcome, server: u64) -> Option<Denial> {
        let waits =
            outcome.owed.iter().enumerate().filter_map(|(index, owed)| {
                match view::outcome(&self.terms, index, *owed, server, Some(cost)) {
                    decision::Outcome::Deny { retry_after } => Some(Denial {
                        cost,
                        retry_after,
                        quota: index as u8,
                    }),
                    _ => None,
                }
            });
        waits.max_by_key(|denial| denial.retry_after)
    }
}

/// A cost that Redis denies.
#[derive(Clone, Copy)]
struct Denial {
    cost: u32,
    /// In nanoseconds.
    retry_after: u64,
    /// The one that denies it for the longest.
    quota: u8,
}

impl Seat {
    fn answer(&mut self, answer: Result<Decision, Trouble>) {
        if let Some(waiter) = self.answer.take() {
            // Who has gone away meanwhile does not want it.
            let _ = waiter.send(answer);
        }
    }
}

fn operation(operation: crate::Operation) -> Operation {
    use crate::Operation as Public;

    match operation {
        Public::Charge(cost) => Operation::Charge { cost: cost.units() },
        Public::Check(cost) => Operation::Check {
            cost: cost.units(),
            times: 1,
        },
        Public::Peek(cost) => Operation::Peek {
            cost: cost.units(),
            times: 1,
        },
        Public::Refund { cost, debited_at } => Operation::Refund {
            cost: cost.units(),
            debited_at: micros(debited_at),
        },
        Public::Reset => Operation::Reset,
    }
}

/// Microseconds since 2020 of a decision's time, which is Redis' time.
const fn micros(at: Now) -> u64 {
    (at.wall / 1_000).saturating_sub(EPOCH * 1_000_000)
}
