//! Replicas of both modes on one server, and their callers.

use std::time::Duration;

use tokio::time::Instant;
use tower_plugin_ratelimit::redis::{OnUnavailable, RedisLimiter};

use crate::crowd::{
    Calls, Crowd, DEADLINE, Outcome, STEADY, Tasks, assert_recovers, limiter, policy,
};

/// Two replicas that decide by asking and two that lease, and their callers.
pub(crate) struct Site {
    pub(crate) exact: Vec<RedisLimiter>,
    pub(crate) leased: Vec<RedisLimiter>,
    crowds: Vec<Crowd>,
    tasks: Tasks,
}

/// What the callers of a [`Site`] saw: of a quota by the second and one by the hour, of replicas that
/// ask and of some that lease.
pub(crate) struct Seen {
    pub(crate) steady: [Calls; 2],
    pub(crate) hourly: [Calls; 2],
}

impl Site {
    pub(crate) async fn open(url: &str) -> Self {
        let tasks = Tasks::now();
        let build = |leases| {
            let replica = || limiter(url, leases, OnUnavailable::Deny);
            vec![replica(), replica()]
        };
        let [exact, leased] = [false, true].map(build);
        for replica in exact.iter().chain(&leased) {
            replica.connected().await.unwrap();
        }
        let mut crowds = Vec::new();
        for (name, quota) in [("steady", STEADY), ("hourly", HOURLY)] {
            for (replicas, mode) in [(&exact, "exact"), (&leased, "leased")] {
                let policy = policy(&format!("{name}-{mode}"), &[quota]);
                crowds.push(Crowd::of(replicas, &policy, 4, Duration::from_millis(6)));
            }
        }
        Self {
            exact,
            leased,
            crowds,
            tasks,
        }
    }

    pub(crate) fn replicas(&self) -> impl Iterator<Item = &RedisLimiter> {
        self.exact.iter().chain(&self.leased)
    }

    pub(crate) async fn assert_recovers(&self, since: Instant) {
        for replica in self.replicas() {
            assert_recovers(replica, since).await;
        }
    }

    /// Sends the callers home, and looks whether they had to wait or something is left behind.
    pub(crate) async fn close(self) -> Seen {
        let mut calls = Vec::new();
        for crowd in self.crowds {
            calls.push(crowd.leave().await);
        }
        drop((self.exact, self.leased));
        self.tasks.assert_none_left().await;
        for calls in &calls {
            calls.assert_patience(DEADLINE);
        }
        let [exact, leased, hourly_exact, hourly_leased] =
            calls.try_into().unwrap_or_else(|_| unreachable!());
        Seen {
            steady: [exact, leased],
            hourly: [hourly_exact, hourly_leased],
        }
    }
}

impl Seen {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Calls> {
        self.steady.iter().chain(&self.hourly)
    }

    pub(crate) fn assert_bounds(&self) {
        for calls in self.all() {
            calls.assert_bound();
        }
    }

    /// The quota is handed out again: two thirds of what the rate brings, at least.
    pub(crate) fn assert_admits(&self, from: Instant, to: Instant) {
        let expected = (to - from).as_secs_f64() * 200.0 * 2.0 / 3.0;
        for calls in &self.steady {
            let admitted = calls.count(from, to, Outcome::Admitted);
            assert!(admitted as f64 >= expected, "{admitted}, not {expected}");
        }
    }
}

/// A quota of which nothing to speak of comes back during a test.
const HOURLY: &str = "100/h";
