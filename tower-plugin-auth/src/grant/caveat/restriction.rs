//! Engine: what a caveat says, and the one way to write it.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::InvalidCaveat;
use crate::{authorize::permissions::path, grant::Thumbprint};

/// Takes the first caveat off: its bytes, what it says, and the rest. `None` if it is none, is not known, or is
/// not written as it should be.
pub(in crate::grant) fn take(bytes: &[u8]) -> Option<(&[u8], Restriction<'_>, &[u8])> {
    let [tag, len, rest @ ..] = bytes else {
        return None;
    };
    let (value, _) = rest.split_at_checked(usize::from(*len))?;
    let (whole, rest) = bytes.split_at_checked(HEAD_LEN + value.len())?;
    Some((whole, read(CaveatKind::from_tag(*tag)?, value)?, rest))
}

/// Whether the first caveat, of whatever length, is of a kind that is not known here.
pub(in crate::grant) fn is_unknown(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_some_and(|tag| CaveatKind::from_tag(*tag).is_none())
}

pub(super) fn read(kind: CaveatKind, value: &[u8]) -> Option<Restriction<'_>> {
    match kind {
        CaveatKind::Audience => {
            let is_name = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
            let name = str::from_utf8(value).ok()?;
            is_name.then_some(Restriction::Audience(name))
        }
        CaveatKind::Certificate => {
            let bytes: &[u8; 32] = value.try_into().ok()?;
            Some(Restriction::Certificate(Thumbprint::from_bytes(*bytes)))
        }
        CaveatKind::Holder => {
            let (len, names) = value.split_first()?;
            let (kind, subject) = names.split_at_checked(usize::from(*len))?;
            let (kind, subject) = (str::from_utf8(kind).ok()?, str::from_utf8(subject).ok()?);
            let is_somebody = !kind.is_empty() && !subject.is_empty();
            is_somebody.then_some(Restriction::Holder { kind, subject })
        }
        CaveatKind::MaxUses => {
            let count = u32::from_be_bytes(value.try_into().ok()?);
            Some(Restriction::MaxUses(NonZeroU32::new(count)?))
        }
        CaveatKind::Methods => {
            let methods = str::from_utf8(value).ok()?;
            let is_method =
                |m: &str| !m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
            let are_in_order = methods.split('|').is_sorted_by(|a, b| a < b);
            (are_in_order && methods.split('|').all(is_method))
                .then_some(Restriction::Methods(methods))
        }
        CaveatKind::NotAfter => {
            let seconds = u64::from_be_bytes(value.try_into().ok()?);
            let since = (seconds < MAX_SECONDS).then_some(Duration::from_secs(seconds))?;
            Some(Restriction::NotAfter(UNIX_EPOCH.checked_add(since)?))
        }
        CaveatKind::PathPrefix => {
            let prefix = str::from_utf8(value).ok()?;
            path::segments(prefix)?;
            Some(Restriction::PathPrefix(prefix))
        }
        CaveatKind::Rpc => {
            let (service, method) = str::from_utf8(value).ok()?.split_once('/')?;
            let is_word = |word: &str| {
                !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            };
            let is_rpc = service.split('.').all(is_word) && (method == "*" || is_word(method));
            is_rpc.then_some(Restriction::Rpc { service, method })
        }
    }
}

/// What a caveat says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Restriction<'a> {
    /// Only at the server of this name.
    Audience(&'a str),
    /// Only by whoever holds this client certificate.
    Certificate(Thumbprint),
    /// Only by this principal.
    Holder {
        /// Its [kind](crate::Principal::kind).
        kind: &'a str,
        /// Its [subject](crate::Principal::subject).
        subject: &'a str,
    },
    /// Only so often.
    MaxUses(NonZeroU32),
    /// Only by these HTTP methods, in order, with `|` between them.
    Methods(&'a str),
    /// Only before this instant.
    NotAfter(SystemTime),
    /// Only to this path and what is below it.
    PathPrefix(&'a str),
    /// Only calls of this RPC.
    Rpc {
        /// The full name of the service.
        service: &'a str,
        /// The name of the method, or `*`.
        method: &'a str,
    },
}

impl Restriction<'_> {
    /// Which of them it is.
    #[must_use]
    pub fn kind(&self) -> CaveatKind {
        match self {
            Self::Audience(_) => CaveatKind::Audience,
            Self::Certificate(_) => CaveatKind::Certificate,
            Self::Holder { .. } => CaveatKind::Holder,
            Self::MaxUses(_) => CaveatKind::MaxUses,
            Self::Methods(_) => CaveatKind::Methods,
            Self::NotAfter(_) => CaveatKind::NotAfter,
            Self::PathPrefix(_) => CaveatKind::PathPrefix,
            Self::Rpc { .. } => CaveatKind::Rpc,
        }
    }
}

/// The kinds of caveats.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CaveatKind {
    /// Where it may be used.
    Audience,
    /// With which client certificate.
    Certificate,
    /// By whom.
    Holder,
    /// How often.
    MaxUses,
    /// By which HTTP methods.
    Methods,
    /// Until when.
    NotAfter,
    /// For which paths.
    PathPrefix,
    /// For which RPCs.
    Rpc,
}

impl CaveatKind {
    /// What its encoding starts with. A number is never given to another kind.
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::NotAfter => 1,
            Self::PathPrefix => 2,
            Self::Methods => 3,
            Self::Rpc => 4,
            Self::Audience => 5,
            Self::MaxUses => 6,
            Self::Holder => 7,
            Self::Certificate => 8,
        }
    }

    const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::NotAfter),
            2 => Some(Self::PathPrefix),
            3 => Some(Self::Methods),
            4 => Some(Self::Rpc),
            5 => Some(Self::Audience),
            6 => Some(Self::MaxUses),
            7 => Some(Self::Holder),
            8 => Some(Self::Certificate),
            _ => None,
        }
    }

    pub(super) const fn invalid(self) -> InvalidCaveat {
        match self {
            Self::Audience => InvalidCaveat::Audience,
            Self::Certificate | Self::Holder => InvalidCaveat::Holder,
            Self::MaxUses => InvalidCaveat::MaxUses,
            Self::Methods => InvalidCaveat::Methods,
            Self::NotAfter => InvalidCaveat::Time,
            Self::PathPrefix => InvalidCaveat::Path,
            Self::Rpc => InvalidCaveat::Rpc,
        }
    }
}

/// Tag and length.
const HEAD_LEN: usize = 2;

/// Forty bits of them: every clock can be set to that.
const MAX_SECONDS: u64 = 1 << 40;
