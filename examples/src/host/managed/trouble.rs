//! Engine: what goes wrong with a managed plugin.

use std::fmt;

/// Why a managed plugin has no identity, or no longer. What it said itself is not among it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// It refused a call, or could not be reached; the name of the code.
    Answer(&'static str),
    /// It did not acknowledge its identity.
    Declined,
    /// Its token is gone: revoked, or at the end of its lifetime.
    Ended,
    /// It calls itself something else.
    Name,
    /// There was no token to be had.
    NoToken,
    /// It is kept out.
    Quarantined,
    /// It did not answer in time.
    Silent,
    /// It was not well in time.
    Unwell,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer(code) => return write!(f, "the call failed: {code}"),
            Self::Declined => "it did not acknowledge its identity",
            Self::Ended => "its token is gone",
            Self::Name => "it calls itself something else",
            Self::NoToken => "no token could be issued",
            Self::Quarantined => "it is in quarantine",
            Self::Silent => "it did not answer in time",
            Self::Unwell => "it was not healthy in time",
        })
    }
}
