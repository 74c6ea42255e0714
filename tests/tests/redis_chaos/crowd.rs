//! Callers of some replicas, and what they saw.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    runtime::Handle,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower_plugin_ratelimit::{
    Cost, Operation, Policy, Quota,
    redis::{OnUnavailable, RedisLimiter, RedisLimiterBuilder},
};
use tower_plugin_tests::windows::{Admission, excess};

/// Long, so that what a busy machine adds is little beside the fifth that is allowed on top.
pub(crate) const DEADLINE: Duration = Duration::from_millis(500);

/// How soon Redis is to be used again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);

/// A quota that fills within half a second.
pub(crate) const STEADY: &str = "200/s:100";

/// Of a burst, in percent.
pub(crate) const HEADROOM: u8 = 10;

pub(crate) fn policy(name: &str, quotas: &[&str]) -> Policy {
    Policy::new(name, quotas.iter().map(|text| text.parse().unwrap())).unwrap()
}

pub(crate) fn limiter(url: &str, leases: bool, on_unavailable: OnUnavailable) -> RedisLimiter {
    with_mode(RedisLimiter::builder(url), leases)
        .with_on_unavailable(on_unavailable)
        .build()
        .unwrap()
}

pub(crate) fn with_mode(builder: RedisLimiterBuilder, leases: bool) -> RedisLimiterBuilder {
    let builder = builder.with_deadline(DEADLINE);
    if leases {
        builder.with_leases(HEADROOM)
    } else {
        builder
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Admitted,
    Denied,
    Unavailable,
}

/// A request, and when it was made and answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) replica: usize,
    pub(crate) key: usize,
    pub(crate) before: Instant,
    pub(crate) after: Instant,
    pub(crate) outcome: Outcome,
}

/// Callers who go on until they are told to stop.
pub(crate) struct Crowd {
    stop: watch::Sender<bool>,
    callers: Vec<JoinHandle<Vec<Call>>>,
    policy: Policy,
    origin: Instant,
}

impl Crowd {
    /// Some callers for each replica, all of one key, who wait `pause` between two requests.
    pub(crate) fn of(
        replicas: &[RedisLimiter],
        policy: &Policy,
        callers: usize,
        pause: Duration,
    ) -> Self {
        Self::with_keys(replicas, policy, callers, pause, |_| 0)
    }

    /// The same, each with a key.
    pub(crate) fn with_keys(
        replicas: &[RedisLimiter],
        policy: &Policy,
        callers: usize,
        pause: Duration,
        key: fn(usize) -> usize,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let origin = Instant::now();
        let callers = replicas.iter().enumerate().flat_map(|(replica, limiter)| {
            let stopped = &stopped;
            (0..callers).map(move |caller| {
                let limiter = limiter.clone();
                let policy = policy.clone();
                let stopped = stopped.clone();
                tokio::spawn(async move {
                    let mut calls = Vec::new();
                    let key = key(caller);
                    while !*stopped.borrow() {
                        let before = Instant::now();
                        let outcome = limiter.check_key(&policy, key, Cost::ONE).await;
                        let after = Instant::now();
                        let outcome = match outcome {
                            Ok(decision) if decision.is_allowed() => Outcome::Admitted,
                            Ok(_) => Outcome::Denied,
                            Err(_) => Outcome::Unavailable,
                        };
                        calls.push(Call {
                            replica,
                            key,
                            before,
                            after,
                            outcome,
                        });
                        sleep(pause).await;
                    }
                    calls
                })
            })
        });
        Self {
            callers: callers.collect(),
            stop,
            policy: policy.clone(),
            origin,
        }
    }

    /// Waits for every caller's last answer.
    pub(crate) async fn leave(self) -> Calls {
        self.stop.send_replace(true);
        let mut calls = Vec::new();
        for caller in self.callers {
            calls.extend(caller.await.unwrap());
        }
        Calls {
            calls,
            policy: self.policy,
            origin: self.origin,
        }
    }
}

/// All that callers saw.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) calls: Vec<Call>,
    policy: Policy,
    origin: Instant,
}

impl Calls {
    /// Nobody has waited for longer than the deadline and a fifth.
    pub(crate) fn assert_patience(&self, deadline: Duration) {
        let longest = self
            .calls
            .iter()
            .max_by_key(|call| call.after - call.before);
        let longest = longest.expect("somebody called");
        let waited = longest.after - longest.before;
        let since = longest.before - self.origin;
        // For whoever reads of a failure: whether one waited, or all did because the machine was busy.
        let mut answers: Vec<_> = self.calls.iter().map(|call| call.after).collect();
        answers.sort_unstable();
        let pauses = answers.windows(2).map(|pair| pair[1] - pair[0]);
        let pause = pauses.max().unwrap_or_default();
        assert!(
            waited <= deadline * 6 / 5,
            "somebody waited {waited:?}, since {since:?}; for {pause:?} nobody got an answer"
        );
    }

    /// By how much a quota of the policy was exceeded for one of the keys in the worst window.
    pub(crate) fn excess(&self) -> f64 {
        let quotas = self.policy.quotas().iter();
        let excess = quotas.map(|quota| self.excess_of(quota));
        excess.fold(f64::NEG_INFINITY, f64::max)
    }

    /// By how much this quota was.
    pub(crate) fn excess_of(&self, quota: &Quota) -> f64 {
        let nanos = |at: Instant| (at - self.origin).as_nanos() as u64;
        let mut admissions: BTreeMap<usize, Vec<Admission>> = BTreeMap::new();
        for call in &self.calls {
            if call.outcome == Outcome::Admitted {
                admissions.entry(call.key).or_default().push(Admission {
                    before: nanos(call.before),
                    after: nanos(call.after),
                    units: 1,
                });
            }
        }
        let excess = admissions
            .values()
            .map(|admissions| excess(admissions, quota));
        excess.fold(f64::NEG_INFINITY, f64::max)
    }

    /// No window holds more than the quotas allow.
    pub(crate) fn assert_bound(&self) {
        let excess = self.excess();
        let name = self.policy.name();
        assert!(excess <= 0.0, "{name}: {excess} units too many");
    }

    /// How many that were made and answered in this time came to that.
    pub(crate) fn count(&self, from: Instant, to: Instant, outcome: Outcome) -> usize {
        let within = self
            .calls
            .iter()
            .filter(|call| call.before >= from && call.after <= to);
        within.filter(|call| call.outcome == outcome).count()
    }

    pub(crate) fn total(&self, outcome: Outcome) -> usize {
        self.calls
            .iter()
            .filter(|call| call.outcome == outcome)
            .count()
    }

    pub(crate) fn of_replica(&self, replica: usize) -> Self {
        self.only(|call| call.replica == replica)
    }

    pub(crate) fn only(&self, condition: impl Fn(&Call) -> bool) -> Self {
        let mut calls = self.clone();
        calls.calls.retain(condition);
        calls
    }
}

/// Waits until every lane of a limiter has Redis decide, and write, again.
///
/// Charges are never answered by anything but Redis, where being unavailable is an error.
pub(crate) async fn assert_recovers(limiter: &RedisLimiter, since: Instant) {
    let charged = policy("recovery", &["1000000/s"]);
    let recovered = async {
        loop {
            // All at once: what is to be measured is not how long it takes to ask.
            let charge = |key| limiter.apply_key(&charged, key, Operation::Charge(Cost::ONE));
            let charges: Vec<_> = (0..KEYS_FOR_ALL_LANES).map(charge).collect();
            let mut answered = 0;
            for charge in charges {
                answered += usize::from(charge.await.is_ok());
            }
            if answered == KEYS_FOR_ALL_LANES && limiter.stats().lanes_down == 0 {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout_at(since + RECOVERY, recovered).await;
    assert!(
        in_time.is_ok(),
        "redis is back since {:?}: {:?}",
        since.elapsed(),
        limiter.stats()
    );
}

/// What a limiter leaves behind is seen by counting tasks before it is built and after it is dropped.
pub(crate) struct Tasks(usize);

impl Tasks {
    pub(crate) fn now() -> Self {
        Self(Handle::current().metrics().num_alive_tasks())
    }

    /// Tasks that were aborted need a moment to end.
    pub(crate) async fn assert_none_left(self) {
        let start = Instant::now();
        while Handle::current().metrics().num_alive_tasks() > self.0 {
            let alive = Self::now().0;
            let before = self.0;
            assert!(
                start.elapsed() < Duration::from_secs(3),
                "{alive} tasks, {before} before"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

const KEYS_FOR_ALL_LANES: usize = 64;
