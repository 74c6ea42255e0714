//! Engine: what is asked of a shared record, and what is answered.
//!
//! Times are microseconds since 2020, which leaves room for centuries below 2^53.

use crate::CalendarPeriod;

/// What a replica asks of one key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ask {
    /// Higher with each ask of a replica; 0 where nothing is leased or taken back.
    pub(super) sequence: u64,
    /// The lease that the replica still spends, and how much of it; sequence 0 for none.
    pub(super) keep: (u64, u32),
    /// How much to lease beyond what the operations need.
    pub(super) surplus: u32,
    pub(super) operations: Vec<Operation>,
}

/// See [`crate::Operation`]; `cost` is at least 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    /// Debits `cost` so many times, or as often as it fits.
    Check { cost: u32, times: u32 },
    /// Says how often `cost` fits, up to so many times.
    Peek { cost: u32, times: u32 },
    /// Debits `cost` whether or not it fits.
    Charge { cost: u32 },
    /// Takes back `cost`, debited at that microsecond.
    Refund { cost: u32, debited_at: u64 },
    /// Forgets what is owed.
    Reset,
}

impl Ask {
    /// Whether it takes anything back, which must not be done twice.
    pub(super) fn undoes(&self) -> bool {
        let undoes = |operation: &Operation| {
            matches!(operation, Operation::Refund { .. } | Operation::Reset)
        };
        self.operations.iter().any(undoes)
    }
}

/// What an ask comes to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) results: Vec<Outcome>,
    /// Units that are on lease now, under the sequence number of the ask.
    pub(super) surplus: u32,
}

/// What one operation comes to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Outcome {
    /// How often the cost fits.
    pub(super) times: u32,
    /// What is owed after it: parts of a rate, units of a calendar; one for each quota.
    pub(super) owed: Vec<u64>,
}

/// The microsecond at which a period ends.
pub(super) fn period_end(period: CalendarPeriod, now: u64) -> u64 {
    (period.end(now / SECOND + EPOCH) - EPOCH) * SECOND
}

/// 2020-01-01T00:00:00Z, in seconds since the Unix epoch.
pub(super) const EPOCH: u64 = 1_577_836_800;
/// In microseconds.
pub(super) const SECOND: u64 = 1_000_000;
