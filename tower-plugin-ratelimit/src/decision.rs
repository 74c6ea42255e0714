use std::{cmp::Reverse, time::Duration};

use crate::{Now, Rule};

/// What a limiter decided about one request, with the numbers of the tightest quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Decision {
    outcome: Outcome,
    rule: Rule,
    /// Which of the policy's quotas.
    index: u8,
    /// The state of the key after this decision, and when it was made.
    state: u64,
    now: Now,
}

/// A [`Verdict`] in nanoseconds: a decision is made far more often than it is asked for a duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Allow { wait: u64 },
    Deny { retry_after: u64 },
    CostExceedsBurst,
}

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// Within every quota; the cost is debited.
    Allow {
        /// How long to hold the request back first: zero unless the policy lets requests wait.
        wait: Duration,
    },
    /// Over a quota; nothing is debited.
    Deny {
        /// When the same cost would be admitted, if nothing else were before.
        retry_after: Duration,
    },
    /// The cost is above the burst of a quota: it can never be admitted. Nothing is debited.
    CostExceedsBurst,
}

impl Decision {
    #[inline]
    pub(crate) const fn new(
        outcome: Outcome,
        rule: Rule,
        index: usize,
        state: u64,
        now: Now,
    ) -> Self {
        Self {
            outcome,
            rule,
            // A policy has four quotas at most.
            index: index as u8,
            state,
            now,
        }
    }

    /// A decision that Redis knows nothing of. See [`Now::is_own`].
    #[cfg(feature = "redis")]
    pub(crate) const fn marked_own(mut self) -> Self {
        self.now.wall = self.now.wall / 1_000 * 1_000 + 1;
        self
    }

    /// Of two quotas of a policy, the one that speaks for it: a refusal before a permission, the
    /// longer wait before the shorter, less left before more.
    pub(crate) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| match decision.outcome {
            Outcome::CostExceedsBurst => (0, Reverse(0), 0),
            Outcome::Deny { retry_after } => (1, Reverse(retry_after), 0),
            Outcome::Allow { wait } => (2, Reverse(wait), decision.remaining()),
        };
        if rank(&other) < rank(&self) {
            other
        } else {
            self
        }
    }

    /// Whether the request may go on, and if not, why.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self.outcome {
            Outcome::Allow { wait } => Verdict::Allow {
                wait: Duration::from_nanos(wait),
            },
            Outcome::Deny { retry_after } => Verdict::Deny {
                retry_after: Duration::from_nanos(retry_after),
            },
            Outcome::CostExceedsBurst => Verdict::CostExceedsBurst,
        }
    }

    /// Whether the request may go on.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self.outcome, Outcome::Allow { .. })
    }

    /// When the same request may succeed: `None` if it just did, or never will.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.outcome {
            Outcome::Deny { retry_after } => Some(Duration::from_nanos(retry_after)),
            Outcome::Allow { .. } | Outcome::CostExceedsBurst => None,
        }
    }

    /// The place of the tightest quota, the one that denied or has the least left, among
    /// [`Policy::quotas`](crate::Policy::quotas).
    #[must_use]
    pub const fn quota_index(&self) -> usize {
        self.index as usize
    }

    /// How much of the quota is left, in units of cost.
    #[must_use]
    pub const fn remaining(&self) -> u32 {
        self.rule.remaining(self.state, self.now)
    }

    /// How much may come at once: what [`remaining`](Self::remaining) counts down from.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.rule.limit()
    }

    /// How much of the [limit](Self::limit) is used, in percent, rounded down.
    #[must_use]
    pub const fn used_percent(&self) -> u8 {
        let (limit, remaining) = (self.limit() as u64, self.remaining() as u64);
        (limit.saturating_sub(remaining) * 100 / limit) as u8
    }

    /// How long until the quota is whole again.
    #[must_use]
    pub const fn reset(&self) -> Duration {
        Duration::from_nanos(self.rule.reset(self.state, self.now))
    }

    /// How long until more is [left](Self::remaining) than now; zero when nothing is missing.
    #[must_use]
    pub const fn next_unit(&self) -> Duration {
        Duration::from_nanos(self.rule.next_unit(self.state, self.now))
    }

    /// How long to hold the request back; zero unless the policy lets requests wait.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        match self.outcome {
            Outcome::Allow { wait } => Duration::from_nanos(wait),
            Outcome::Deny { .. } | Outcome::CostExceedsBurst => Duration::ZERO,
        }
    }

    pub(crate) const fn has_to_wait(&self) -> bool {
        matches!(self.outcome, Outcome::Allow { wait } if wait > 0)
    }

    /// When it was made, by the limiter's clocks: what a [refund](crate::Operation::Refund) of it
    /// asks for.
    #[must_use]
    pub const fn made_at(&self) -> Now {
        self.now
    }
}
