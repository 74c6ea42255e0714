//! Engine: the record of a key that all replicas share, and what is done with it.
//!
//! This is what `script.lua` does inside Redis, in Rust: both give the same answer and the same record
//! for every input, which a test holds them to on a real server. The simulation runs on this one.
//!
//! # Leases
//!
//! An ask may take more than is needed at once; the surplus is on *lease*, and the replica spends it
//! without asking. What keeps every window within its bound:
//!
//! 1. *Reserve.* Every decision leaves [`Terms::reserve`] units of every burst.
//! 2. *Cap.* What is out on lease never exceeds the reserve. So that nobody takes it all, a grant is at
//!    most half of what is left of it.
//! 3. *Debit first.* A lease is debited when it is granted: an answer that is lost loses units.
//! 4. *Settle by overwriting.* An ask says which one lease its replica still spends, and how much of
//!    it; the others of that replica are void. It says so under a sequence number, and what comes
//!    twice or late settles nothing.
//!
//! What comes twice debits twice, which loses units. It must not credit twice: an ask that takes
//! something back leaves a *fence*, a lease of no units under its sequence number, and is only obeyed
//! if none of its replica's is newer.

use super::{
    ask::{Answer, Ask, EPOCH, Operation, Outcome, SECOND, period_end},
    terms::{Meter, Rate, Terms},
};
use crate::CalendarPeriod;

/// What a key owes, and what is out on lease.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Record {
    /// One for each quota of the policy.
    pub(super) debts: Vec<Debt>,
    pub(super) leases: Vec<Entry>,
}

/// What is owed under one quota, as it is written down.
///
/// For a rate: the microsecond by which the debt is drained, and the parts of it that are more than
/// whole microseconds. For a calendar: the Unix second its period ends at, and what was counted in it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Debt {
    pub(super) until: u64,
    pub(super) parts: u64,
}

/// Units that a replica may spend without asking; none of them in a fence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) replica: u64,
    /// Of the ask that it was granted to.
    pub(super) sequence: u64,
    pub(super) units: u32,
    /// From when on it is certain not to be spent any more.
    pub(super) dead_at: u64,
}

/// How long to keep a record, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keep {
    /// Nothing changed.
    AsItIs,
    For(u64),
}

/// Does what a replica asks of a key at `now`, in microseconds since the first of January 2020.
///
/// `record` is what was written down, if anything was; afterwards, what is to be.
pub(super) fn apply(
    record: &mut Option<Record>,
    terms: &Terms,
    replica: u64,
    ask: &Ask,
    now: u64,
) -> (Answer, Keep) {
    let before = record.take().unwrap_or_default();
    let known = !before.debts.is_empty();
    let mut meters: Vec<Owing> = Vec::with_capacity(terms.meters.len());
    for (index, meter) in terms.meters.iter().enumerate() {
        let debt = before.debts.get(index).copied().unwrap_or_default();
        meters.push(Owing::of(*meter, terms.reserve, debt, now));
    }
    let (mut leases, is_new, mut changed) = settle(&before.leases, replica, ask, now);
    let is_fenced = is_new && ask.undoes() && fence(&mut leases, replica, ask, now);
    changed |= is_fenced;

    let mut answer = Answer::default();
    for operation in &ask.operations {
        let times = match operation {
            Operation::Refund { .. } | Operation::Reset if !is_fenced => 1,
            operation => operate(&mut meters, *operation, now),
        };
        changed |= match operation {
            Operation::Check { .. } => times > 0,
            Operation::Charge { .. } => true,
            Operation::Peek { .. } | Operation::Refund { .. } | Operation::Reset => false,
        };
        let owed = meters.iter().map(|meter| meter.owed).collect();
        answer.results.push(Outcome { times, owed });
    }

    if ask.surplus > 0 && is_new && leases.len() < MAX_LEASES {
        let out = leases.iter().map(|lease| u64::from(lease.units)).sum();
        let half = u64::from(terms.reserve).saturating_sub(out) / 2;
        let mut units = half.min(u64::from(ask.surplus)) as u32;
        for meter in &meters {
            units = units.min(meter.fits_in_full());
        }
        if units > 0 {
            for meter in &mut meters {
                meter.owed += meter.weight(units);
            }
            leases.push(Entry {
                replica,
                sequence: ask.sequence,
                units,
                dead_at: now + terms.age,
            });
            answer.surplus = units;
            changed = true;
        }
    }

    if !changed {
        if known {
            *record = Some(before);
        }
        return (answer, Keep::AsItIs);
    }
    // When nothing is owed and no lease is alive, a record says what none says.
    let owing = meters.iter().map(|meter| meter.micros(now));
    let leased = leases.iter().map(|lease| lease.dead_at - now);
    let longest = owing.chain(leased).max().unwrap_or(0);
    *record = Some(Record {
        debts: meters.iter().map(|meter| meter.debt(now)).collect(),
        leases,
    });
    (answer, Keep::For(longest.div_ceil(1_000).max(1)))
}

/// The leases that are still to be reckoned with, whether this ask is newer than all of its replica's
/// before, and whether it voided any.
fn settle(leases: &[Entry], replica: u64, ask: &Ask, now: u64) -> (Vec<Entry>, bool, bool) {
    let own = |lease: &Entry| lease.replica == replica;
    let live = |lease: &&Entry| lease.dead_at > now;
    let is_new = ask.sequence > 0
        && !leases
            .iter()
            .filter(live)
            .any(|lease| own(lease) && lease.sequence >= ask.sequence);
    let mut settled = false;
    let mut left = Vec::with_capacity(leases.len() + 2);
    for lease in leases.iter().filter(live) {
        let mut lease = *lease;
        if is_new && own(&lease) && lease.units > 0 {
            let (kept, units) = ask.keep;
            let units = if lease.sequence == kept {
                units.min(lease.units)
            } else {
                0
            };
            settled |= units != lease.units;
            if units == 0 {
                continue;
            }
            lease.units = units;
        }
        left.push(lease);
    }
    (left, is_new, settled)
}

/// Puts a fence in place of the one its replica had, if there is room.
fn fence(leases: &mut Vec<Entry>, replica: u64, ask: &Ask, now: u64) -> bool {
    leases.retain(|lease| lease.replica != replica || lease.units > 0);
    if leases.len() >= MAX_LEASES {
        return false;
    }
    leases.push(Entry {
        replica,
        sequence: ask.sequence,
        units: 0,
        dead_at: now + FENCE,
    });
    true
}

/// How often it fits, or 1 where that is no question.
fn operate(meters: &mut [Owing], operation: Operation, now: u64) -> u32 {
    match operation {
        Operation::Check { cost, times } | Operation::Peek { cost, times } => {
            let mut fits = times;
            for meter in &*meters {
                fits = fits.min(meter.fits(cost));
            }
            if matches!(operation, Operation::Check { .. }) {
                for meter in meters {
                    meter.owed += meter.weight(cost) * u64::from(fits);
                }
            }
            fits
        }
        Operation::Charge { cost } => {
            for meter in meters {
                meter.owed = (meter.owed + meter.weight(cost)).min(meter.most);
            }
            1
        }
        Operation::Refund { cost, debited_at } => {
            for meter in meters {
                meter.refund(cost, debited_at, now);
            }
            1
        }
        Operation::Reset => {
            for meter in meters {
                meter.owed = 0;
            }
            1
        }
    }
}

/// One quota at work.
struct Owing {
    meter: Meter,
    /// What is owed.
    owed: u64,
    /// What may be owed when a lease is granted.
    full: u64,
    /// What may be owed when a request is admitted.
    limit: u64,
    /// What can be owed at all: more is a clock that was set back, or a quota that shrank.
    most: u64,
    /// The number of the period; 0 for a rate.
    turn: u64,
}

impl Owing {
    fn of(meter: Meter, reserve: u32, debt: Debt, now: u64) -> Self {
        match meter {
            Meter::Calendar { limit, period } => {
                let turn = turn(period, now);
                Self {
                    meter,
                    owed: if debt.until == turn { debt.parts } else { 0 },
                    full: limit.into(),
                    limit: limit.into(),
                    most: u32::MAX.into(),
                    turn,
                }
            }
            Meter::Rate(rate) => {
                let most = rate.capacity() + rate.wait;
                let full = rate.capacity() - rate.unit * u64::from(reserve.min(rate.burst));
                let owed = match debt.until.checked_sub(now) {
                    Some(micros) => micros
                        .saturating_mul(rate.leak)
                        // Written under a quota that drained in larger steps.
                        .saturating_add(debt.parts.min(rate.leak - 1)),
                    None => 0,
                };
                Self {
                    meter,
                    owed: owed.min(most),
                    full,
                    limit: full + rate.wait,
                    most,
                    turn: 0,
                }
            }
        }
    }

    fn weight(&self, units: u32) -> u64 {
        match self.meter {
            Meter::Calendar { .. } => units.into(),
            Meter::Rate(Rate { unit, .. }) => unit.saturating_mul(units.into()),
        }
    }

    /// How often a cost fits.
    fn fits(&self, cost: u32) -> u32 {
        times(self.limit.saturating_sub(self.owed) / self.weight(cost))
    }

    /// How many units fit that nobody waits for.
    fn fits_in_full(&self) -> u32 {
        times(self.full.saturating_sub(self.owed) / self.weight(1))
    }

    fn refund(&mut self, cost: u32, debited_at: u64, now: u64) {
        let credit = match self.meter {
            Meter::Calendar { period, .. } if turn(period, debited_at) == self.turn => cost.into(),
            // Counted in a period that is over.
            Meter::Calendar { .. } => 0,
            // What has drained since may have served others.
            Meter::Rate(rate) => {
                let drained = now.saturating_sub(debited_at).saturating_mul(rate.leak);
                self.weight(cost).saturating_sub(drained)
            }
        };
        self.owed = self.owed.saturating_sub(credit);
    }

    fn debt(&self, now: u64) -> Debt {
        match self.meter {
            Meter::Calendar { .. } => Debt {
                until: self.turn,
                parts: self.owed,
            },
            Meter::Rate(rate) => Debt {
                until: now + self.owed / rate.leak,
                parts: self.owed % rate.leak,
            },
        }
    }

    /// How long this is worth remembering.
    fn micros(&self, now: u64) -> u64 {
        match self.meter {
            Meter::Calendar { .. } if self.owed == 0 => 0,
            Meter::Calendar { period, .. } => period_end(period, now) - now,
            Meter::Rate(rate) => self.owed.div_ceil(rate.leak),
        }
    }
}

fn times(fits: u64) -> u32 {
    u32::try_from(fits).unwrap_or(u32::MAX)
}

/// What tells a period from others of its kind: the second it ends at, since the Unix epoch.
fn turn(period: CalendarPeriod, now: u64) -> u64 {
    period.end(now / SECOND + EPOCH)
}

/// So many leases of one key may be out; who comes later asks each time.
const MAX_LEASES: usize = 64;
/// In microseconds: longer than any driver goes on sending what was not answered.
pub(super) const FENCE: u64 = 10_000_000;
