//! The server: records, when they end, and what was admitted.

use super::{
    super::{
        ask::{Answer, Operation},
        ledger::{Keep, Record},
        terms::Terms,
    },
    mutation::{Mutation, owed_for},
    oracle::Oracle,
    replica::Envelope,
};

#[derive(Debug)]
pub(super) struct Server {
    keys: Vec<Key>,
    mutation: Mutation,
    asks: u64,
}

#[derive(Debug)]
struct Key {
    /// What this server decides by; not the policy's where a mutation says so.
    terms: Terms,
    /// Of all quotas as they are meant.
    policy: Terms,
    admissions: Vec<Admission>,
    record: Option<Record>,
    /// The microsecond at which the record is gone.
    ends_at: u64,
}

/// Units that were admitted at a microsecond, and not taken back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    pub(super) at: u64,
    pub(super) units: u32,
    pub(super) leased: bool,
}

impl Server {
    pub(super) fn new(terms: &[Terms], mutation: Mutation) -> Self {
        let key = |terms: &Terms| Key {
            terms: mutation.terms(terms),
            policy: terms.clone(),
            admissions: Vec::new(),
            record: None,
            ends_at: u64::MAX,
        };
        Self {
            keys: terms.iter().map(key).collect(),
            mutation,
            asks: 0,
        }
    }

    /// Does what an ask says, at a microsecond.
    pub(super) fn execute(&mut self, envelope: &Envelope, now: u64) -> Answer {
        self.asks += 1;
        let key = &mut self.keys[envelope.key];
        if now >= key.ends_at {
            key.record = None;
        }
        let (answer, keep) =
            self.mutation
                .apply(&mut key.record, &key.terms, envelope, now, self.asks);
        match keep {
            Keep::AsItIs => {}
            Keep::For(millis) => key.ends_at = now + millis * 1_000,
        }
        for (operation, outcome) in envelope.ask.operations.iter().zip(&answer.results) {
            if let Operation::Check { cost, .. } = *operation {
                let units = cost * outcome.times;
                key.admissions.push(Admission {
                    at: now,
                    units,
                    leased: false,
                });
            }
        }
        if let Some(admission) = envelope.takes_back {
            key.admissions[admission].units = 0;
        }
        answer
    }

    /// A replica has spent what it had on lease.
    pub(super) fn spent(&mut self, key: usize, now: u64, units: u32) {
        self.keys[key].admissions.push(Admission {
            at: now,
            units,
            leased: true,
        });
    }

    pub(super) fn asks(&self) -> u64 {
        self.asks
    }

    /// The newest is 0.
    pub(super) fn admission(&self, key: usize, back: usize) -> Option<(usize, Admission)> {
        let admissions = &self.keys[key].admissions;
        let place = admissions.len().checked_sub(1 + back)?;
        Some((place, admissions[place]))
    }

    pub(super) fn excess(&self) -> f64 {
        let excess = |key: &Key| {
            let mut oracle = Oracle::new(&key.policy);
            for admission in &key.admissions {
                oracle.admit(admission.at, admission.units.into());
            }
            oracle.excess()
        };
        self.keys.iter().map(excess).fold(0.0, f64::max)
    }

    /// When nothing is owed for this key any more; now, if that is so.
    pub(super) fn drained_at(&self, key: usize, now: u64) -> u64 {
        let record = self.keys[key].record.as_ref();
        now + record.map_or(0, |record| owed_for(record, now))
    }

    /// When the record of this key ends; now, if there is none.
    pub(super) fn ends_at(&self, key: usize, now: u64) -> u64 {
        let key = &self.keys[key];
        if key.record.is_some() && key.ends_at < u64::MAX {
            key.ends_at.max(now)
        } else {
            now
        }
    }
}
