use std::fmt;

/// What state a circuit is in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three states are what a circuit breaker is"
)]
pub enum Phase {
    /// Calls pass.
    Closed,
    /// A few calls pass, to see whether the service is back.
    HalfOpen,
    /// No call passes.
    Open,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        })
    }
}
