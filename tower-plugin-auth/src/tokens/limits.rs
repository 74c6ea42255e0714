use std::time::Duration;

use crate::{config::InvalidConfig, token::TokenKind};

/// How long tokens may live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) min_ttl: Duration,
    pub(super) runtime_ttl: Duration,
    pub(super) grant_ttl: Duration,
    pub(super) one_time_ttl: Duration,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) absolute_lifetime: Option<Duration>,
    pub(super) overlap: Duration,
    pub(super) reuse_revokes_family: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_ttl: FLOOR,
            runtime_ttl: Duration::from_secs(24 * 60 * 60),
            grant_ttl: Duration::from_secs(60 * 60),
            one_time_ttl: Duration::from_secs(5 * 60),
            idle_timeout: None,
            absolute_lifetime: None,
            overlap: Duration::from_secs(30),
            reuse_revokes_family: true,
        }
    }
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

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        if self.min_ttl.is_zero() || self.min_ttl > FLOOR {
            return Err(InvalidConfig::new(
                "min_ttl",
                "above 0 and at most 1 minute",
            ));
        }
        let range = if self.min_ttl == FLOOR {
            "between the floor of 1 minute and 10 years"
        } else {
            "between min_ttl and 10 years"
        };
        for (field, ttl) in [
            ("runtime_ttl", Some(self.runtime_ttl)),
            ("grant_ttl", Some(self.grant_ttl)),
            ("one_time_ttl", Some(self.one_time_ttl)),
            ("idle_timeout", self.idle_timeout),
            ("absolute_lifetime", self.absolute_lifetime),
        ] {
            if !ttl.is_none_or(|ttl| self.allows(ttl)) {
                return Err(InvalidConfig::new(field, range));
            }
        }
        if self.overlap > MAX_OVERLAP {
            return Err(InvalidConfig::new("overlap", "at most 1 hour"));
        }
        Ok(())
    }
}

/// The shortest lifetime anyone needs outside a test.
const FLOOR: Duration = Duration::from_secs(60);

/// Ten years: what is meant to last longer was not meant to expire.
const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Long enough for the slowest rollout; longer is two tokens, not one that is being replaced.
const MAX_OVERLAP: Duration = Duration::from_secs(60 * 60);
