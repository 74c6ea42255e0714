//! What Redis holds, and since when it does not say.

use std::time::SystemTime;

use parking_lot::Mutex;
use tower_plugin_auth::{
    StoreError,
    store::{RedisGrantStore, RedisStore},
};

/// What was counted last. Whoever shows it asks nobody: however many they are, Redis is asked as often as the
/// host [takes](Census::take) it.
pub(in crate::host) struct Census {
    tokens: RedisStore,
    grants: RedisGrantStore,
    last: Mutex<Last>,
}

/// What all copies have together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::host) struct Counted {
    pub(in crate::host) tokens: u64,
    pub(in crate::host) grants: u64,
}

/// Whether Redis answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::host) enum Health {
    #[default]
    Unasked,
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    counted: Option<Counted>,
    // In a row.
    misses: u32,
    health: Health,
    since: Option<SystemTime>,
}

impl Census {
    pub(super) fn of(tokens: RedisStore, grants: RedisGrantStore) -> Self {
        Self {
            tokens,
            grants,
            last: Mutex::default(),
        }
    }

    /// Counts again, in two questions that cost Redis next to nothing; how it is, if that is news.
    ///
    /// `limits_without` is whether the quotas are decided without it.
    pub(in crate::host) async fn take(
        &self,
        now: SystemTime,
        limits_without: impl Fn() -> bool,
    ) -> Option<Health> {
        let counted = self.count(now).await;
        if let Err(error) = &counted {
            tracing::debug!(%error, "tokens and grants were not counted");
        }
        let limits_without = limits_without();
        self.last.lock().note(counted.ok(), limits_without, now)
    }

    async fn count(&self, now: SystemTime) -> Result<Counted, StoreError> {
        Ok(Counted {
            tokens: self.tokens.count_live(now).await?,
            grants: self.grants.count_live(now).await?,
        })
    }

    pub(in crate::host) fn counted(&self) -> Option<Counted> {
        self.last.lock().counted
    }

    /// How Redis is, and since when.
    pub(in crate::host) fn health(&self) -> (Health, Option<SystemTime>) {
        let last = self.last.lock();
        (last.health, last.since)
    }
}

impl Last {
    // One late answer is a hiccup.
    fn note(
        &mut self,
        counted: Option<Counted>,
        limits_without: bool,
        now: SystemTime,
    ) -> Option<Health> {
        self.misses = match counted {
            Some(_) => 0,
            None => self.misses.saturating_add(1),
        };
        let health = match (self.misses, limits_without) {
            (0, false) => Health::Up,
            (1, false) => self.health,
            _ => Health::Down,
        };
        if counted.is_some() || health == Health::Down {
            self.counted = counted;
        }
        let is_news = health != self.health;
        if is_news {
            (self.health, self.since) = (health, Some(now));
        }
        is_news.then_some(health)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn redis_is_down_from_the_second_miss_or_when_limits_go_without_and_the_time_is_that_of_the_change()
     {
        let mut last = Last::default();
        let some = Some(Counted {
            tokens: 3,
            grants: 2,
        });
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let since = |seconds| Some(at(seconds));
        for (second, counted, without, news, health, known, changed) in [
            // Nobody has been told that it was up, so that it does not answer is no news yet.
            (1, None, false, None, Health::Unasked, None, None),
            (2, some, false, Some(Health::Up), Health::Up, some, since(2)),
            (3, some, false, None, Health::Up, some, since(2)),
            (4, None, false, None, Health::Up, some, since(2)),
            (5, some, false, None, Health::Up, some, since(2)),
            (6, None, false, None, Health::Up, some, since(2)),
            (
                7,
                None,
                false,
                Some(Health::Down),
                Health::Down,
                None,
                since(7),
            ),
            (8, None, true, None, Health::Down, None, since(7)),
            // The one connection is back, the other not yet.
            (9, some, true, None, Health::Down, some, since(7)),
            (
                10,
                some,
                false,
                Some(Health::Up),
                Health::Up,
                some,
                since(10),
            ),
            (
                11,
                some,
                true,
                Some(Health::Down),
                Health::Down,
                some,
                since(11),
            ),
        ] {
            assert_eq!(last.note(counted, without, at(second)), news, "{second}");
            let now = (last.health, last.counted, last.since);
            assert_eq!(now, (health, known, changed), "{second}");
        }
    }
}
