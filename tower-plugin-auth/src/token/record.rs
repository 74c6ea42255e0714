//! Engine: what a store keeps of a token, and how its life goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_plugin_core::Principal;

use super::{InvalidReason, Minted, TokenId, TokenKind, Verifier};

mod codec;

pub use codec::InvalidRecord;
pub(crate) use codec::MAX_ATTRIBUTES;

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
        let id = minted.token().id();
        Self {
            id,
            kind: minted.token().kind(),
            key_version: minted.key_version(),
            verifier: minted.verifier().clone(),
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

    /// Lets the token die, too, when it has not been used for this long.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = Some(Idle {
            timeout,
            last_used: self.issued_at,
        });
        self.bounded()
    }

    /// Lets no token of the family live on from here, however often it is rotated.
    #[must_use]
    pub fn with_deadline(mut self, deadline: SystemTime) -> Self {
        self.deadline = Some(deadline);
        self.bounded()
    }

    /// The next version, used at `now`.
    #[must_use]
    pub fn touched(&self, now: SystemTime) -> Self {
        let mut next = self.clone();
        if let Some(idle) = &mut next.idle {
            idle.last_used = idle.last_used.max(now);
        }
        next.version = next.version.wrapping_add(1);
        next.bounded()
    }

    /// The next version: another token has taken its place, and this one is valid until before
    /// `overlap_until` only. Presented after that, it is [reused](InvalidReason::Reused).
    #[must_use]
    pub fn superseded(&self, by: TokenId, overlap_until: SystemTime) -> Self {
        let mut next = self.clone();
        next.successor = Some(Successor {
            id: by,
            overlap_until,
        });
        next.version = next.version.wrapping_add(1);
        next.bounded()
    }

    fn bounded(mut self) -> Self {
        let idle = self.idle.and_then(|idle| idle.ends_at());
        let overlap = self.successor.map(|successor| successor.overlap_until);
        self.live_until = [self.deadline, idle, overlap]
            .into_iter()
            .flatten()
            .fold(self.expires_at, SystemTime::min);
        self
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

    /// The first instant at which it is not valid if nothing more happens to it.
    #[must_use]
    pub fn live_until(&self) -> SystemTime {
        self.live_until
    }

    /// From when on a store need not keep it: at the end of its life; one that was superseded not
    /// before it would have expired, so that its reuse is noticed. A store that is full may forget a
    /// dead record sooner.
    #[must_use]
    pub fn forget_at(&self) -> SystemTime {
        match self.successor {
            Some(_) => self.expires_at,
            None => self.live_until,
        }
    }

    /// Whether it is still valid at `now`.
    #[must_use]
    pub fn is_live(&self, now: SystemTime) -> bool {
        now < self.live_until
    }

    /// Whether its use at `now` is to be written down: an eighth of the idle timeout after the last
    /// time, and never for a token that was superseded.
    #[must_use]
    pub fn is_touch_due(&self, now: SystemTime) -> bool {
        match self.idle {
            Some(idle) if self.successor.is_none() => now
                .duration_since(idle.last_used)
                .is_ok_and(|unused| unused >= idle.timeout / 8),
            _ => false,
        }
    }

    /// Why a token that is not live at `now` is dead.
    pub(super) fn cause_of_death(&self, now: SystemTime) -> InvalidReason {
        let is_over = |end: Option<SystemTime>| end.is_some_and(|end| end <= now);
        if self.expires_at <= now || is_over(self.deadline) {
            InvalidReason::Expired
        } else if is_over(self.successor.map(|successor| successor.overlap_until)) {
            InvalidReason::Reused
        } else {
            InvalidReason::Idle
        }
    }
}

impl Idle {
    fn ends_at(&self) -> Option<SystemTime> {
        self.last_used.checked_add(self.timeout)
    }
}

fn seconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().to_string()
}

#[cfg(test)]
mod tests;
