//! Engine: what a store keeps of a token, and how its life goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_plugin_core::Principal;

use super::{Minted, TokenId, TokenKind, Verifier};

mod codec;
mod life;

pub use codec::InvalidRecord;
pub(crate) use codec::{MAX_ATTRIBUTES, Reader, Writer};

/// The attribute of a principal that says when its token expires: seconds since 1970, rounded down.
pub const EXPIRES_AT: &str = "expires_at";

/// What a store keeps of a token: whose it is, until when, and a keyed digest of its secret.
///
/// It cannot be turned back into a token. The principal is complete, so a successful check only adds
/// a reference to it. A record never changes: [`touched`](Self::touched) and
/// [`superseded`](Self::superseded) make the next version of it, which a store puts in its place only
/// if nobody else was faster.
#[derive(Clone, Debug)]
pub struct Record {
    id: TokenId,
    kind: TokenKind,
    key_version: u32,
    verifier: Verifier,
    principal: Principal,
    issued_at: SystemTime,
    expires_at: SystemTime,
    /// The earliest of all its ends, so that a check compares once.
    live_until: SystemTime,
    family: TokenId,
    began_at: SystemTime,
    deadline: Option<SystemTime>,
    idle: Option<Idle>,
    successor: Option<Successor>,
    version: u64,
}

#[derive(Clone, Copy, Debug)]
struct Idle {
    timeout: Duration,
    last_used: SystemTime,
}

#[derive(Clone, Copy, Debug)]
struct Successor {
    id: TokenId,
    overlap_until: SystemTime,
}

impl Record {
    /// Describes a new token for a store: valid from now until **before** `expires_at`, and the first
    /// of its family.
    ///
    /// The principal gets the token's public id, and its expiry as attribute [`EXPIRES_AT`].
    #[must_use]
    pub fn new(
        minted: &Minted,
        principal: Principal,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        let digest = (minted.key_version(), minted.verifier().clone());
        let (id, kind) = (minted.token().id(), minted.token().kind());
        Self::of_digest(id, kind, digest, principal, issued_at, expires_at)
    }

    /// Describes a token by the digest of its secret.
    pub(crate) fn of_digest(
        id: TokenId,
        kind: TokenKind,
        (key_version, verifier): (u32, Verifier),
        principal: Principal,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        Self {
            id,
            kind,
            key_version,
            verifier,
            principal: principal
                .with_token_id(id.to_string())
                .with_attribute(EXPIRES_AT, seconds(expires_at)),
            issued_at,
            expires_at,
            live_until: expires_at,
            family: id,
            began_at: issued_at,
            deadline: None,
            idle: None,
            successor: None,
            version: 0,
        }
    }

    /// Describes the token that follows this one: same owner, same family, same idle timeout.
    ///
    /// It expires at `expires_at`, or at the family's [deadline](Self::deadline) if that is earlier.
    #[must_use]
    pub fn next_in_family(
        &self,
        minted: &Minted,
        issued_at: SystemTime,
        expires_at: SystemTime,
    ) -> Self {
        let expires_at = self.deadline.map_or(expires_at, |end| end.min(expires_at));
        let mut next = Self::new(minted, self.principal.clone(), issued_at, expires_at);
        next.family = self.family;
        next.began_at = self.began_at;
        next.deadline = self.deadline;
        match self.idle {
            Some(idle) => next.with_idle_timeout(idle.timeout),
            None => next,
        }
    }

    /// The token's public id.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What the token is good for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The version of the key its digest was made under.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    /// The digest of its secret.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Who calls with it.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// When it was issued.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// The first instant at which it is no longer valid, however much it is used.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The id of the first token of its family: of all that came from one another by rotation.
    #[must_use]
    pub fn family(&self) -> TokenId {
        self.family
    }

    /// When the first token of its family was issued.
    #[must_use]
    pub fn began_at(&self) -> SystemTime {
        self.began_at
    }

    /// The first instant at which no token of its family is valid, if there is to be one.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        self.deadline
    }

    /// How long it may go unused, if that matters.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle.map(|idle| idle.timeout)
    }

    /// When it was last used, as far as that is written down: up to an eighth of the idle timeout ago
    /// it may have been used without a note of it. The instant of issue where no timeout is set.
    #[must_use]
    pub fn last_used(&self) -> SystemTime {
        self.idle.map_or(self.issued_at, |idle| idle.last_used)
    }

    /// The token that has taken its place.
    #[must_use]
    pub fn successor(&self) -> Option<TokenId> {
        self.successor.map(|successor| successor.id)
    }

    /// How often it has changed. A store replaces a record only by the version after its own.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}

fn seconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().to_string()
}

#[cfg(test)]
mod tests;
