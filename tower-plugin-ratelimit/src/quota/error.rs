use std::fmt;

/// A quota that cannot be: it would admit nothing, or its arithmetic would overflow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidQuota {
    kind: InvalidQuotaKind,
}

/// What is wrong with a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidQuotaKind {
    /// The burst is 0, takes more than 146 years to come back, or is set on what is not a rate.
    Burst,
    /// The count is 0.
    Count,
    /// The period is not in 1 ms to 366 days.
    Period,
    /// The rate is above 10^9 per second.
    Rate,
    /// There are no replicas.
    Replicas,
    /// The text is not `COUNT/PERIOD[:BURST]`.
    Syntax,
}

impl InvalidQuota {
    pub(super) const fn new(kind: InvalidQuotaKind) -> Self {
        Self { kind }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(self) -> InvalidQuotaKind {
        self.kind
    }
}

impl fmt::Display for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            InvalidQuotaKind::Burst => {
                "quota: burst goes with a rate, must be at least 1 and come back within 146 years"
            }
            InvalidQuotaKind::Count => "quota: count must be in 1 to 4294967295",
            InvalidQuotaKind::Period => "quota: period must be in 1 ms to 366 days",
            InvalidQuotaKind::Rate => "quota: rate must be at most 1000000000 per second",
            InvalidQuotaKind::Replicas => "quota: replicas must be at least 1",
            InvalidQuotaKind::Syntax => {
                "quota: expected COUNT/PERIOD[:BURST] with a period in ns, us, ms, s, m, h or d, e.g. \
                 10/s:20, or <=COUNT/PERIOD, or COUNT/utc-minute, utc-hour, utc-day or utc-month"
            }
        })
    }
}

impl std::error::Error for InvalidQuota {}
