//! The rules that keep the bound, each of which can be broken.

use super::{
    super::{
        ask::{Answer, Ask},
        ledger::{self, Keep, Record},
        terms::{Meter, Terms},
    },
    replica::Envelope,
};

/// What is done wrong, if anything is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mutation {
    None,
    /// A replica counts the life of a lease from the answer, and not from the ask.
    AgeFromAnswer,
    /// A record is forgotten as soon as nothing is owed, whoever still has a lease.
    ForgottenLeases,
    /// What is out on lease has no limit.
    NoCap,
    /// Decisions leave nothing of the burst for what is out on lease.
    NoReserve,
    /// Every ask is taken for the newest.
    NoSequence,
    /// Every ask that takes an admission back is taken for the newest.
    NoFence,
    /// A replica says that it has no lease any more, and goes on spending it.
    SettlesAndSpends,
    /// A replica goes on spending the one of two leases that its ask did not name.
    SpendsTheDropped,
    /// An ask says how much was spent since the last one, and not how much is left.
    Subtraction,
}

impl Mutation {
    /// What the server decides by.
    pub(super) fn terms(self, terms: &Terms) -> Terms {
        let mut terms = terms.clone();
        let (burst, reserve) = match self {
            // The burst that is left after the reserve is the whole burst.
            Self::NoReserve => (terms.reserve, 0),
            // The burst that is left is the same, and the cap is out of reach.
            Self::NoCap => (terms.reserve * 64, terms.reserve * 64),
            _ => (0, 0),
        };
        for meter in &mut terms.meters {
            if let Meter::Rate(rate) = meter {
                rate.burst += burst;
            }
        }
        terms.reserve += reserve;
        terms
    }

    /// Does on the server what an ask says. `times` counts the asks there.
    pub(super) fn apply(
        self,
        record: &mut Option<Record>,
        terms: &Terms,
        envelope: &Envelope,
        now: u64,
        times: u64,
    ) -> (Answer, Keep) {
        let replica = envelope.replica_id;
        let mut ask = envelope.ask.clone();
        if self == Self::Subtraction {
            let (sequence, units) = &mut ask.keep;
            let entries = record.iter().flat_map(|record| &record.leases);
            let known = entries
                .filter(|entry| entry.replica == replica && entry.sequence == *sequence)
                .map(|entry| entry.units)
                .next();
            *units = known.unwrap_or(0).saturating_sub(envelope.spent);
        }
        let sequence = ask.sequence;
        let is_newest = match self {
            Self::NoSequence => sequence > 0,
            Self::NoFence => ask.undoes(),
            _ => false,
        };
        if is_newest {
            ask.sequence = NEWEST + times;
        }
        let (answer, keep) = ledger::apply(record, terms, replica, &ask, now);
        for entry in record.iter_mut().flat_map(|record| &mut record.leases) {
            if entry.sequence >= NEWEST {
                entry.sequence = sequence;
            }
        }
        match (self, keep, &*record) {
            (Self::ForgottenLeases, Keep::For(_), Some(left)) if terms.reserve > 0 => {
                let millis = owed_for(left, now).div_ceil(1_000);
                (answer, Keep::For(millis))
            }
            _ => (answer, keep),
        }
    }

    /// What an ask says of leases, on its way out.
    pub(super) fn rewrite(self, ask: &mut Ask) {
        if self == Self::SettlesAndSpends {
            ask.keep = (0, 0);
        }
    }

    pub(super) fn ages_from(self, sent_at: u64, answered_at: u64) -> u64 {
        if self == Self::AgeFromAnswer {
            answered_at
        } else {
            sent_at
        }
    }
}

/// How many microseconds until nothing is owed. Only rates are leased.
pub(super) fn owed_for(record: &Record, now: u64) -> u64 {
    let until = |debt: &ledger::Debt| (debt.until + u64::from(debt.parts > 0)).saturating_sub(now);
    record.debts.iter().map(until).max().unwrap_or(0)
}

/// Above every sequence number that a replica gets to.
const NEWEST: u64 = 1 << 50;
