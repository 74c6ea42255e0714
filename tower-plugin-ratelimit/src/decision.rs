use std::{cmp::Reverse, time::Duration};

use crate::{Now, Quota};

/// What a limiter decided about one request, with the numbers of the tightest quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Decision {
    verdict: Verdict,
    quota: Quota,
    /// Which of the policy's quotas.
    index: usize,
    /// The state of the key after this decision, and when it was made.
    state: u64,
    now: Now,
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
    pub(crate) const fn new(
        verdict: Verdict,
        quota: Quota,
        index: usize,
        state: u64,
        now: Now,
    ) -> Self {
        Self {
            verdict,
            quota,
            index,
            state,
            now,
        }
    }

    /// Of two quotas of a policy, the one that speaks for it: a refusal before a permission, the
    /// longer wait before the shorter, less left before more.
    pub(crate) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| match decision.verdict {
            Verdict::CostExceedsBurst => (0, Reverse(Duration::ZERO), 0),
            Verdict::Deny { retry_after } => (1, Reverse(retry_after), 0),
            Verdict::Allow { wait } => (2, Reverse(wait), decision.remaining()),
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
        self.verdict
    }

    /// Whether the request may go on.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allow { .. })
    }

    /// When the same request may succeed: `None` if it just did, or never will.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.verdict {
            Verdict::Deny { retry_after } => Some(retry_after),
            Verdict::Allow { .. } | Verdict::CostExceedsBurst => None,
        }
    }

    /// The tightest quota of the policy: the one that denied, or has the least left.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// Its place among [`Policy::quotas`](crate::Policy::quotas).
    #[must_use]
    pub const fn quota_index(&self) -> usize {
        self.index
    }

    /// How much of the quota is left, in units of cost.
    #[must_use]
    pub const fn remaining(&self) -> u32 {
        self.quota.rule().remaining(self.state, self.now)
    }

    /// How long until the quota is whole again.
    #[must_use]
    pub const fn reset(&self) -> Duration {
        Duration::from_nanos(self.quota.rule().reset(self.state, self.now))
    }

    /// How long until more is [left](Self::remaining) than now; zero when nothing is missing.
    #[must_use]
    pub const fn next_unit(&self) -> Duration {
        Duration::from_nanos(self.quota.rule().next_unit(self.state, self.now))
    }

    /// How long to hold the request back; zero unless the policy lets requests wait.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        match self.verdict {
            Verdict::Allow { wait } => wait,
            Verdict::Deny { .. } | Verdict::CostExceedsBurst => Duration::ZERO,
        }
    }

    /// When it was made, by the limiter's clocks: what a [refund](crate::Operation::Refund) of it
    /// asks for.
    #[must_use]
    pub const fn made_at(&self) -> Now {
        self.now
    }
}
