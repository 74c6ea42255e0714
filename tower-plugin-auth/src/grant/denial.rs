//! Engine: why a grant lets a request not pass.

use std::fmt;

use super::{CaveatKind, MalformedGrant};

/// Why a grant does not let a request pass. For logs and audit, never for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DenialReason {
    /// The path can be read in two ways.
    AmbiguousPath,
    /// A caveat of this kind is not met.
    Caveat(CaveatKind),
    /// It was valid once.
    Expired,
    /// It is not the token of a grant at all.
    Malformed(MalformedGrant),
    /// The id is known, the signature is of no token that came from it.
    Mismatch,
    /// It is of somebody else.
    NotHolder,
    /// Nothing that it permits, or that it was asked for, covers the request.
    NotPermitted,
    /// It is of another capability than it was presented for.
    OtherCapability,
    /// The address is of another grant than the token.
    OtherGrant,
    /// This token, or one it was derived from, was revoked.
    Revoked,
    /// No record: never issued, revoked, or expired long ago.
    Unknown,
    /// It was used as often as it may be, or too many tokens derived from it are to be counted.
    UsedUp,
}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AmbiguousPath => "path can be read in two ways",
            Self::Caveat(CaveatKind::Audience) => "grant is for another server",
            Self::Caveat(CaveatKind::Certificate | CaveatKind::Holder) => {
                "grant was handed to somebody else"
            }
            Self::Caveat(CaveatKind::MaxUses) => "grant was used up by those it was handed to",
            Self::Caveat(CaveatKind::Methods) => "grant was narrowed to other methods",
            Self::Caveat(CaveatKind::NotAfter) => "grant was narrowed to an earlier time",
            Self::Caveat(CaveatKind::PathPrefix) => "grant was narrowed to other paths",
            Self::Caveat(CaveatKind::Rpc) => "grant was narrowed to other calls",
            Self::Expired => "grant has expired",
            Self::Malformed(malformed) => return malformed.fmt(f),
            Self::Mismatch => "grant has a wrong signature",
            Self::NotHolder => "grant belongs to somebody else",
            Self::NotPermitted => "grant does not permit this",
            Self::OtherCapability => "grant is for another capability",
            Self::OtherGrant => "grant was sent to the address of another",
            Self::Revoked => "grant was revoked",
            Self::Unknown => "grant is unknown",
            Self::UsedUp => "grant is used up",
        })
    }
}

impl std::error::Error for DenialReason {}

impl From<MalformedGrant> for DenialReason {
    fn from(malformed: MalformedGrant) -> Self {
        Self::Malformed(malformed)
    }
}
