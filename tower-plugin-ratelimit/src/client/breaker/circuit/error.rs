use std::fmt;

/// A circuit that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidCircuit {
    /// It would open without a failure.
    Failures,
    /// It would stay open for no time, or for more than a day.
    OpenFor,
    /// It would never probe.
    Probes,
    /// It would close without a success.
    Successes,
}

impl fmt::Display for InvalidCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failures => "circuit: failures must be at least 1",
            Self::OpenFor => "circuit: time to stay open must be in 1 ns to a day",
            Self::Probes => "circuit: probes must be at least 1",
            Self::Successes => "circuit: successes must be at least 1",
        })
    }
}

impl std::error::Error for InvalidCircuit {}
