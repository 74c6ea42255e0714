use std::time::Duration;

use crate::token::TokenKind;

/// How long tokens may live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) min_ttl: Duration,
    pub(super) runtime_ttl: Duration,
    pub(super) grant_ttl: Duration,
    pub(super) one_time_ttl: Duration,
}

impl Limits {
    pub(super) fn default_ttl(&self, kind: TokenKind) -> Duration {
        match kind {
            TokenKind::Grant => self.grant_ttl,
            TokenKind::OneTime => self.one_time_ttl,
            TokenKind::Runtime => self.runtime_ttl,
        }
    }

    pub(super) fn allows(&self, ttl: Duration) -> bool {
        (self.min_ttl..=MAX_TTL).contains(&ttl)
    }
}

/// Ten years: what is meant to last longer was not meant to expire.
const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
