//! Engine: what Redis said of a key, as decisions by the replica's clock.

use super::{
    ask::{EPOCH, period_end},
    terms::{Meter, Terms},
};
use crate::{Decision, Now, Policy, calendar::Calendar, decision::Outcome};

/// How a key stood when Redis was last asked, one state for each quota, as [`Decision`] reads them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    states: [u64; Policy::MAX_QUOTAS],
    /// Microseconds since 2020, by Redis' clock.
    pub(super) server: u64,
    /// When that was, by the replica's clock.
    heard_at: u64,
    /// Which quota denied, if one did.
    pub(super) denies: u8,
}

impl View {
    /// `owed` is the answer of the ledger at `server`; `now` the replica's time.
    pub(super) fn new(terms: &Terms, owed: &[u64], server: u64, now: u64) -> Self {
        let mut states = [0; Policy::MAX_QUOTAS];
        for ((state, meter), owed) in states.iter_mut().zip(&terms.meters).zip(owed) {
            *state = match meter {
                Meter::Calendar { limit, period } => {
                    let end = period_end(*period, server) - server;
                    let counted = u32::try_from(*owed).unwrap_or(u32::MAX);
                    Calendar::new(*limit, *period).map_or(0, |calendar| {
                        calendar.charge(0, now.saturating_add(end * 1_000), counted)
                    })
                }
                Meter::Rate(rate) => {
                    // What is kept for leases is as good as spent.
                    let reserve = rate.unit * u64::from(terms.reserve.min(rate.burst));
                    now.saturating_add(nanos(owed + reserve, rate.leak))
                }
            };
        }
        Self {
            states,
            server,
            heard_at: now,
            denies: 0,
        }
    }

    /// An admission from a lease. It counts as made when the lease may have been taken, so that a
    /// refund credits no more than is due.
    pub(super) fn spent(&self, policy: &Policy, now: u64) -> Decision {
        let wall = wall(self.server.saturating_sub(LONGEST_LEASE));
        self.decision(policy, now, wall, |_| Outcome::Allow { wait: 0 })
    }

    /// A denial from what is known.
    pub(super) fn denied(&self, policy: &Policy, now: u64, until: u64) -> Decision {
        let retry_after = until.saturating_sub(now);
        self.decision(policy, now, self.wall(now), |index| {
            if index == usize::from(self.denies) {
                Outcome::Deny { retry_after }
            } else {
                Outcome::Allow { wait: 0 }
            }
        })
    }

    /// A decision whose outcome differs by quota.
    pub(super) fn decision(
        &self,
        policy: &Policy,
        now: u64,
        wall: u64,
        outcome: impl Fn(usize) -> Outcome,
    ) -> Decision {
        let now = Now {
            monotonic: now,
            wall,
        };
        let first = policy.first_quota().rule();
        let mut decision = Decision::new(outcome(0), first, 0, self.state(0), now);
        for (index, quota) in policy.quotas().iter().enumerate().skip(1) {
            let next = Decision::new(outcome(index), quota.rule(), index, self.state(index), now);
            decision = decision.tighter(next);
        }
        decision
    }

    /// What Redis' clock shows about now, in nanoseconds since the Unix epoch.
    pub(super) fn wall(&self, now: u64) -> u64 {
        wall(self.server + now.saturating_sub(self.heard_at) / 1_000)
    }

    fn state(&self, index: usize) -> u64 {
        self.states.get(index).copied().unwrap_or_default()
    }
}

/// What an operation comes to in each quota.
pub(super) fn outcome(
    terms: &Terms,
    index: usize,
    owed: u64,
    server: u64,
    denied: Option<u32>,
) -> Outcome {
    match (terms.meters.get(index), denied) {
        (Some(Meter::Rate(rate)), None) => {
            let full = rate.capacity() - rate.unit * u64::from(terms.reserve.min(rate.burst));
            Outcome::Allow {
                wait: nanos(owed.saturating_sub(full), rate.leak),
            }
        }
        (Some(Meter::Rate(rate)), Some(cost)) => {
            let full = rate.capacity() - rate.unit * u64::from(terms.reserve.min(rate.burst));
            let over = (owed + rate.unit * u64::from(cost)).saturating_sub(full + rate.wait);
            match nanos(over, rate.leak) {
                0 => Outcome::Allow { wait: 0 },
                retry_after => Outcome::Deny { retry_after },
            }
        }
        (Some(Meter::Calendar { limit, period }), Some(cost))
            if owed + u64::from(cost) > u64::from(*limit) =>
        {
            Outcome::Deny {
                retry_after: (period_end(*period, server) - server) * 1_000,
            }
        }
        _ => Outcome::Allow { wait: 0 },
    }
}

/// How long so many parts take to drain.
fn nanos(parts: u64, leak: u64) -> u64 {
    let nanos = (u128::from(parts) * 1_000).div_ceil(u128::from(leak));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Nanoseconds since the Unix epoch.
fn wall(server: u64) -> u64 {
    EPOCH * 1_000_000_000 + server * 1_000
}

/// Microseconds that no lease outlives.
const LONGEST_LEASE: u64 = super::terms::MAX_AGE;
