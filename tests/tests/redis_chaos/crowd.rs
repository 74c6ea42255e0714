//! Callers of some replicas, and what they saw.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

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

/// A quota of which nothing to speak of comes back during a test.
pub(crate) const HOURLY: &str = "100/h";

/// Of a burst, in percent.
pub(crate) const HEADROOM: u8 = 10;

pub(crate) fn policy(name: &str, quotas: &[&str]) -> Policy {
    Policy::new(name, quotas.iter().map(|text| text.parse().unwrap())).unwrap()
}

pub(crate) fn limiter(url: &str, leases: bool, on_unavailable: OnUnavailable) -> RedisLimiter {
    with_mode(RedisLimiter::builder(url), leases)
        .on_unavailable(on_unavailable)
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
        assert!(
            waited <= deadline * 6 / 5,
            "somebody waited {waited:?}, since {since:?}"
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
            let mut answered = 0;
            for key in 0..KEYS_FOR_ALL_LANES {
                let charge = Operation::Charge(Cost::ONE);
                let charge = limiter.apply_key(&charged, key, charge);
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

/// Seeded, so that what went wrong can be repeated.
pub(crate) struct Dice(u64);

impl Dice {
    /// Prints its seed, which only a failure shows.
    pub(crate) fn new() -> Self {
        let given = std::env::var("CHAOS_SEED").ok();
        let seed = given.map_or_else(
            || RandomState::new().hash_one(0),
            |seed| seed.parse().expect("CHAOS_SEED is a number"),
        );
        eprintln!("CHAOS_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How long the random ones last.
pub(crate) fn seconds(short: u64) -> Duration {
    let given = std::env::var("CHAOS_SECONDS").ok();
    Duration::from_secs(given.map_or(short, |seconds| {
        seconds.parse().expect("CHAOS_SECONDS is a number")
    }))
}

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

const KEYS_FOR_ALL_LANES: usize = 64;
