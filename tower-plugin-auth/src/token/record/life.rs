//! Engine: how the life of a token goes on, and when it is over.

use std::time::{Duration, SystemTime};

use super::{Idle, Record, Successor};
use crate::token::{InvalidReason, TokenId};

impl Record {
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

    pub(super) fn bounded(mut self) -> Self {
        let idle = self.idle.and_then(|idle| idle.ends_at());
        let overlap = self.successor.map(|successor| successor.overlap_until);
        self.live_until = [self.deadline, idle, overlap]
            .into_iter()
            .flatten()
            .fold(self.expires_at, SystemTime::min);
        self
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
    pub(in crate::token) fn cause_of_death(&self, now: SystemTime) -> InvalidReason {
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
