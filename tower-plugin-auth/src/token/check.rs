//! Engine: the verdict on one presented token.

use std::{fmt, time::SystemTime};

use super::{KeyRing, MalformedToken, PresentedToken, Record};

/// Decides whether a presented token is the one a record describes, and still valid at `now`.
///
/// `record` is what the store knows under the token's id, if anything. A token nobody knows costs the
/// same digest and comparison as one with the wrong secret, and the end of its life is looked at last,
/// so that only the holder of the secret can learn of it.
///
/// # Errors
///
/// [`InvalidReason`], for logs and audit: a caller should be told of no difference between them.
pub fn check(
    keys: &KeyRing,
    presented: &PresentedToken,
    record: Option<&Record>,
    now: SystemTime,
) -> Result<(), InvalidReason> {
    // Where there is no record, the same is done with one that fits no token.
    let described = record.unwrap_or(keys.stand_in());
    // A store that answers with another token's record must not let anyone in.
    let fits = (described.id() == presented.id()) & (described.kind() == presented.kind());
    let known = record.is_some() & fits;
    let genuine = known & keys.verify(presented, described.key_version(), described.verifier());
    let live = genuine & described.is_live(now);
    // All was found out before any of it decides.
    let passed = usize::from(known) + usize::from(genuine) + usize::from(live);
    if passed == 2 {
        return Err(described.cause_of_death(now));
    }
    let verdict = VERDICTS.get(passed).copied();
    verdict.unwrap_or(Err(InvalidReason::Unknown))
}

/// By how much is known, genuine and live.
const VERDICTS: [Result<(), InvalidReason>; 4] = [
    Err(InvalidReason::Unknown),
    Err(InvalidReason::Mismatch),
    Err(InvalidReason::Expired),
    Ok(()),
];

/// Why a token is not accepted. For logs and audit, never for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidReason {
    /// It was valid once.
    Expired,
    /// It was not used for longer than it may go unused.
    Idle,
    /// It is not a token at all.
    Malformed(MalformedToken),
    /// The id is known, the secret is not the one issued with it.
    Mismatch,
    /// It belongs to somebody other than the caller says it is.
    OtherSubject,
    /// Another token took its place, and the time in which both were valid is over. Its owner has no
    /// use for it any more: it may be in other hands.
    Reused,
    /// No record: never issued, revoked, used up, or expired long ago.
    Unknown,
    /// A token of another [kind](super::TokenKind) than is asked for here.
    WrongKind,
}

impl fmt::Display for InvalidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "token has expired",
            Self::Idle => "token has not been used for too long",
            Self::Malformed(malformed) => return malformed.fmt(f),
            Self::Mismatch => "token has a wrong secret",
            Self::OtherSubject => "token belongs to another subject",
            Self::Reused => "token was used after it had been replaced",
            Self::Unknown => "token is unknown",
            Self::WrongKind => "token is of another kind",
        })
    }
}

impl std::error::Error for InvalidReason {}

#[cfg(test)]
mod tests;
