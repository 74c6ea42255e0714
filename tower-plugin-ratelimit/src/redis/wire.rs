//! Engine: batches, answers and records as bytes, the way `script.lua` reads and writes them.
//!
//! Little-endian, without padding. Whole numbers that may exceed 32 bits travel as doubles, which are
//! all that Lua knows; none here reaches 2^53.

use super::{
    ask::{Answer, Ask, Operation, Outcome},
    terms::{Meter, Terms},
};
use crate::CalendarPeriod;

/// A batch in the making.
#[derive(Debug)]
pub(super) struct Batch {
    /// Everything before the policies, then the policies.
    head: Vec<u8>,
    asks: Vec<u8>,
    /// The versions of the policies so far; what came first is number 1.
    versions: Vec<u64>,
    /// What the answer looks like: for each ask its operations and quotas.
    shape: Vec<(u8, usize)>,
}

impl Batch {
    /// How many versions of policies one batch may have.
    pub(super) const MAX_POLICIES: usize = 64;

    /// `now` is microseconds since 2020 by the caller's own clock; 0 for the clock of the server.
    pub(super) fn new(now: u64, replica: u64) -> Self {
        let mut head = Vec::with_capacity(128);
        double(&mut head, now);
        head.extend(replica.to_le_bytes());
        // How many policies there are.
        head.push(0);
        Self {
            head,
            asks: Vec::with_capacity(1024),
            versions: Vec::new(),
            shape: Vec::new(),
        }
    }

    /// Adds what is asked of the next key; of at most [`MAX_OPERATIONS`] operations.
    pub(super) fn push(&mut self, version: u64, terms: &Terms, ask: &Ask) {
        let known = self.versions.iter().position(|known| *known == version);
        let which = known.unwrap_or_else(|| {
            self.versions.push(version);
            self.policy(terms);
            self.versions.len() - 1
        });
        let (keep, left) = ask.keep;
        let operations = ask.operations.len().min(MAX_OPERATIONS) as u8;
        let asks = &mut self.asks;
        asks.push(which as u8 + 1);
        double(asks, ask.sequence);
        double(asks, keep);
        asks.extend(left.to_le_bytes());
        asks.extend(ask.surplus.to_le_bytes());
        asks.push(ask.undoes().into());
        asks.push(operations);
        for operation in ask.operations.iter().take(MAX_OPERATIONS) {
            let (code, cost, times, debited_at) = match *operation {
                Operation::Check { cost, times } => (1, cost, times, None),
                Operation::Peek { cost, times } => (2, cost, times, None),
                Operation::Charge { cost } => (3, cost, 1, None),
                Operation::Refund { cost, debited_at } => (4, cost, 1, Some(debited_at)),
                Operation::Reset => (5, 1, 1, None),
            };
            asks.push(code);
            asks.extend(u32::to_le_bytes(cost));
            asks.extend(u32::to_le_bytes(times));
            if let Some(debited_at) = debited_at {
                double(asks, debited_at);
            }
        }
        self.shape.push((operations, terms.meters.len()));
    }

    fn policy(&mut self, terms: &Terms) {
        let head = &mut self.head;
        head.push(terms.meters.len() as u8);
        head.extend(terms.reserve.to_le_bytes());
        double(head, terms.age);
        for meter in &terms.meters {
            match meter {
                Meter::Calendar { limit, period } => {
                    head.push(code(*period));
                    let limit = u64::from(*limit);
                    for number in [1, 1, limit, limit, u32::MAX.into()] {
                        double(head, number);
                    }
                }
                Meter::Rate(rate) => {
                    head.push(0);
                    let reserve = rate.unit * u64::from(terms.reserve.min(rate.burst));
                    let full = rate.capacity() - reserve;
                    let most = rate.capacity() + rate.wait;
                    for number in [rate.leak, rate.unit, full, full + rate.wait, most] {
                        double(head, number);
                    }
                }
            }
        }
        if let Some(policies) = self.head.get_mut(POLICIES_AT) {
            *policies += 1;
        }
    }

    /// The argument of the script.
    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.asks].concat()
    }

    /// Reads the answers, one for each ask, and the server's time; `None` if they are not of this
    /// batch.
    pub(super) fn answers(&self, bytes: &[u8]) -> Option<(u64, Vec<Answer>)> {
        let mut reader = Reader(bytes);
        let now = reader.double()?;
        let mut answers = Vec::with_capacity(self.shape.len());
        for (operations, quotas) in &self.shape {
            let mut answer = Answer::default();
            for _ in 0..*operations {
                let times = reader.u32()?;
                let owed = (0..*quotas)
                    .map(|_| reader.double())
                    .collect::<Option<_>>()?;
                answer.results.push(Outcome { times, owed });
            }
            answer.surplus = reader.u32()?;
            answers.push(answer);
        }
        reader.0.is_empty().then_some((now, answers))
    }
}

/// How many operations one ask may have.
pub(super) const MAX_OPERATIONS: usize = u8::MAX as usize;
const POLICIES_AT: usize = 16;

const fn code(period: CalendarPeriod) -> u8 {
    match period {
        CalendarPeriod::Minute => 1,
        CalendarPeriod::Hour => 2,
        CalendarPeriod::Day => 3,
        CalendarPeriod::Month => 4,
    }
}

fn double(to: &mut Vec<u8>, number: u64) {
    to.extend((number as f64).to_le_bytes());
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// A whole number that came as a double.
    pub(super) fn double(&mut self) -> Option<u64> {
        let number = self.take().map(f64::from_le_bytes)?;
        (number >= 0.0 && number < (1_u64 << 53) as f64).then_some(number as u64)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::redis::ledger::{Debt, Entry, Record};

    /// A record as it stands in Redis.
    pub(in crate::redis) fn record_to_bytes(record: &Record) -> Vec<u8> {
        let mut bytes = vec![record.debts.len() as u8];
        for debt in &record.debts {
            double(&mut bytes, debt.until);
            double(&mut bytes, debt.parts);
        }
        for lease in &record.leases {
            bytes.extend(lease.replica.to_le_bytes());
            bytes.extend(lease.units.to_le_bytes());
            double(&mut bytes, lease.sequence);
            double(&mut bytes, lease.dead_at);
        }
        bytes
    }

    pub(in crate::redis) fn record_of_bytes(bytes: &[u8]) -> Option<Record> {
        let mut reader = Reader(bytes);
        let [quotas] = reader.take()?;
        let mut record = Record::default();
        for _ in 0..quotas {
            record.debts.push(Debt {
                until: reader.double()?,
                parts: reader.double()?,
            });
        }
        while !reader.0.is_empty() {
            record.leases.push(Entry {
                replica: reader.take().map(u64::from_le_bytes)?,
                units: reader.u32()?,
                sequence: reader.double()?,
                dead_at: reader.double()?,
            });
        }
        Some(record)
    }
}
