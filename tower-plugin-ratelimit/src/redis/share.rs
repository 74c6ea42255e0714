//! What a replica may decide without Redis.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use super::terms::{Meter, Terms};
use crate::{Policy, Quota};

/// What to do about a request when Redis cannot be asked, or does not answer within the deadline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// Let it through. Nothing is limited meanwhile.
    Allow,
    /// Say so: 503 / `UNAVAILABLE` with `retry-after`. Nothing gets through meanwhile.
    Deny,
    /// Decide in memory by a part of the quota that is this replica's at *all* times: each of
    /// `replicas` owns an equal part of `percent` of the quota, and Redis hands out the rest only. So
    /// the quota is never exceeded, whoever can reach whom, and `percent` of it is always there.
    ///
    /// A burst too small to be divided is left to Redis, and denied without it.
    Floor {
        /// 1 to 90.
        percent: u8,
        /// How many replicas there are at most; at least 1.
        replicas: u32,
    },
    /// Decide in memory by the quota divided by `replicas`, each replica for itself.
    ///
    /// While some reach Redis and others do not, up to twice the quota is admitted.
    Local {
        /// How many replicas there are at most; at least 1.
        replicas: u32,
    },
}

/// [`Local`](Self::Local) for two replicas: a limiter that takes a service down does more harm than one
/// that counts by itself for a while. Say how many there are.
impl Default for OnUnavailable {
    fn default() -> Self {
        Self::Local { replicas: 2 }
    }
}

/// How policies are divided between Redis and this replica, worked out once for each.
#[derive(Debug)]
pub(super) struct Shares {
    on_unavailable: OnUnavailable,
    headroom: u8,
    known: RwLock<HashMap<u64, Share>>,
}

/// How one policy is divided.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// What Redis decides by.
    pub(super) terms: Arc<Terms>,
    /// What this replica decides by, in trouble or always.
    pub(super) own: Option<Policy>,
}

impl Shares {
    pub(super) fn new(on_unavailable: OnUnavailable, headroom: u8) -> Self {
        Self {
            on_unavailable,
            headroom,
            known: RwLock::default(),
        }
    }

    pub(super) fn of(&self, policy: &Policy) -> Share {
        let version = policy.version();
        if let Some(share) = self.known.read().get(&version) {
            return share.clone();
        }
        let share = self.divide(policy);
        let mut known = self.known.write();
        if known.len() >= MAX_POLICIES {
            // There are far more policies than anyone writes by hand: work the busy ones out anew.
            known.clear();
        }
        known.entry(version).or_insert(share).clone()
    }

    fn divide(&self, policy: &Policy) -> Share {
        let mut terms = Terms::exact(policy);
        let own = match self.on_unavailable {
            OnUnavailable::Allow | OnUnavailable::Deny => None,
            OnUnavailable::Local { replicas } => {
                let quotas = policy.quotas().iter();
                let quotas: Result<Vec<Quota>, _> =
                    quotas.map(|quota| quota.per_replica(replicas)).collect();
                quotas
                    .ok()
                    .and_then(|quotas| policy.with_quotas(quotas).ok())
            }
            OnUnavailable::Floor { percent, replicas } => {
                let own = floor(policy, percent, replicas);
                let rest = own
                    .as_ref()
                    .and_then(|own| terms.less(own, percent, replicas));
                match rest {
                    Some(rest) => {
                        terms = rest;
                        own
                    }
                    None => None,
                }
            }
        };
        Share {
            terms: Arc::new(terms.leased(self.headroom)),
            own,
        }
    }
}

/// What is one replica's of `percent` of the quotas.
fn floor(policy: &Policy, percent: u8, replicas: u32) -> Option<Policy> {
    let quotas = policy.quotas().iter();
    let quotas: Option<Vec<Quota>> = quotas
        .map(|quota| quota.part(percent.into(), 100 * u64::from(replicas)))
        .collect();
    policy.with_quotas(quotas?).ok()
}

impl Terms {
    /// What is left of these when each of `replicas` owns `own`, together `percent` of the rates.
    fn less(&self, own: &Policy, percent: u8, replicas: u32) -> Option<Self> {
        let meters = self.meters.iter().zip(own.quotas()).map(|(meter, own)| {
            let units = own.burst().checked_mul(replicas)?;
            match meter {
                Meter::Calendar { limit, period } => {
                    let limit = limit.checked_sub(units).filter(|limit| *limit > 0)?;
                    Some(Meter::Calendar {
                        limit,
                        period: *period,
                    })
                }
                Meter::Rate(rate) => rate.less(percent, units).map(Meter::Rate),
            }
        });
        Some(Self {
            meters: meters.collect::<Option<_>>()?,
            ..self.clone()
        })
    }
}

const MAX_POLICIES: usize = 1_024;
