//! Decisions that replicas share, on a `redis-server` of this run's own, over a unix socket.
//!
//! Both sides share the server, the connection and the runtime of one worker, so that Redis has the
//! other processor.

mod peers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{runtime::Runtime, task::JoinSet};
use tower_plugin_ratelimit::{
    Answer, Cost, Limiter, Policy,
    redis::{OnUnavailable, RedisLimiter, RedisLimiterBuilder},
};

use self::peers::{Batches, OneByOne};
use super::server::Server;
use crate::runner::{Against, Case, Contender, Contest, now};

pub(super) fn cases() -> Vec<Case> {
    let versus = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    let limit = |id, unit, at_most, ours| Case {
        id,
        unit,
        against: Against::Limit { at_most, ours },
    };
    vec![
        versus("redis-exact-c256", "EVALSHA each", 1.6, || {
            let stage = Stage::set("exact");
            Contest {
                ours: stage.exact(),
                peer: stage.one_by_one(256, 10_000),
                baseline: None,
            }
        }),
        // What Redis does when it is handed full batches without a pause.
        versus("redis-exact-c256-raw", "raw batches", 0.85, || {
            let stage = Stage::set("raw");
            Contest {
                ours: stage.exact(),
                peer: stage.raw(),
                baseline: None,
            }
        }),
        versus("redis-leased-c32", "EVALSHA each", 30.0, || {
            let stage = Stage::set("leased");
            Contest {
                ours: stage.leased(),
                peer: stage.one_by_one(32, HOT_KEYS),
                baseline: None,
            }
        }),
        limit("redis-leased-local-ns", "ns", 150.0, || {
            Stage::set("local").local()
        }),
        limit("redis-denied-flood", "commands", 2.0, || {
            Stage::set("denied").denied()
        }),
    ]
}

/// A server, and what talks to it.
#[derive(Clone)]
struct Stage {
    server: Arc<Server>,
    runtime: Arc<Runtime>,
}

impl Stage {
    fn set(name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            server: Arc::new(Server::start(name)),
            runtime: Arc::new(runtime.expect("a runtime")),
        }
    }

    fn limiter(
        &self,
        set: impl FnOnce(RedisLimiterBuilder) -> RedisLimiterBuilder,
    ) -> RedisLimiter {
        let _guard = self.runtime.enter();
        let settings = RedisLimiter::builder(self.server.url())
            .with_deadline(Duration::from_secs(10))
            .with_on_unavailable(OnUnavailable::Deny);
        let limiter = set(settings).build().expect("a limiter");
        let connected = self.runtime.block_on(limiter.connected());
        connected.expect("a connection");
        limiter
    }

    /// 256 requests at a time, of 10,000 keys.
    fn exact(&self) -> Contender {
        let limiter = self.limiter(|settings| settings);
        let policy = policy("1000000/s");
        self.crowd(256, move |number| {
            let (limiter, policy) = (limiter.clone(), policy.clone());
            async move { decide(&limiter, &policy, number % 10_000).await }
        })
    }

    /// 32 requests at a time, of a few keys.
    fn leased(&self) -> Contender {
        let limiter = self.limiter(|settings| settings.with_leases(5));
        let policy = policy("1000000000/s");
        self.crowd(32, move |number| {
            let (limiter, policy) = (limiter.clone(), policy.clone());
            async move { decide(&limiter, &policy, number % HOT_KEYS).await }
        })
    }

    fn one_by_one(&self, crowd: u64, keys: u64) -> Contender {
        let connection = self.runtime.block_on(peers::connect(&self.server));
        let script = Arc::new(OneByOne::new());
        self.crowd(crowd, move |number| {
            let (mut connection, script) = (connection.clone(), Arc::clone(&script));
            async move {
                let key = format!("one:{:032x}", number % keys);
                assert!(script.decide(&mut connection, &key).await);
            }
        })
    }

    /// Four batches of 128 keys at a time.
    fn raw(&self) -> Contender {
        let connection = self.runtime.block_on(peers::connect(&self.server));
        let batches: Arc<Vec<_>> = Arc::new((0..78).map(Batches::new).collect());
        let mut many = self.crowd_of(4, move |number| {
            let (mut connection, batches) = (connection.clone(), Arc::clone(&batches));
            async move {
                let batch = &batches[number as usize % batches.len()];
                batch.decide(&mut connection).await;
            }
        });
        Contender::paced(move |decisions| {
            let rounds = decisions.div_ceil(Batches::KEYS).max(4);
            let took = many(rounds);
            took.mul_f64(decisions as f64 / (rounds * Batches::KEYS) as f64)
        })
    }

    /// One key, one thread.
    fn local(&self) -> Contender {
        let limiter = self.limiter(|settings| settings.with_leases(5));
        let policy = policy("1000000000/s");
        let stage = self.clone();
        Contender::paced(move |decisions| {
            let stage = &stage;
            let started = now();
            for _ in 0..decisions {
                let key = limiter.hasher(&policy);
                // Now and then one has to wait for Redis; that counts too.
                let decision = match limiter.check(&policy, key, Cost::ONE) {
                    Answer::Ready(decision) => decision,
                    Answer::Pending(future) => stage.runtime.block_on(future),
                };
                assert!(decision.expect("a decision").is_allowed());
            }
            started.elapsed()
        })
    }

    /// Scripts that Redis runs for each 1,000 requests which are denied.
    fn denied(&self) -> Contender {
        let limiter = self.limiter(|settings| settings);
        let policy = policy("1/h");
        let stage = self.clone();
        let first = self
            .runtime
            .block_on(limiter.check_key(&policy, "k", Cost::ONE));
        assert!(first.expect("a decision").is_allowed());
        Contender::whole(move || {
            let before = stage.server.scripts();
            for _ in 0..1_000 {
                let decision = limiter.check_key(&policy, "k", Cost::ONE);
                let denied = stage.runtime.block_on(decision).expect("a decision");
                assert!(!denied.is_allowed());
            }
            (stage.server.scripts() - before) as f64
        })
    }

    fn crowd<F, O>(&self, size: u64, one: O) -> Contender
    where
        F: Future<Output = ()> + Send + 'static,
        O: Fn(u64) -> F + Send + Sync + 'static,
    {
        Contender::paced(self.crowd_of(size, one))
    }

    /// So many tasks that each do one after the other, until so many are done.
    fn crowd_of<F, O>(&self, size: u64, one: O) -> impl FnMut(u64) -> Duration + use<F, O>
    where
        F: Future<Output = ()> + Send + 'static,
        O: Fn(u64) -> F + Send + Sync + 'static,
    {
        let stage = self.clone();
        let one = Arc::new(one);
        move |count| {
            // All of it, not the runtime alone: the server is to live as long.
            let stage = &stage;
            let next = Arc::new(AtomicU64::new(0));
            let started = now();
            stage.runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for _ in 0..size {
                    let (one, next) = (Arc::clone(&one), Arc::clone(&next));
                    tasks.spawn(async move {
                        loop {
                            let number = next.fetch_add(1, Relaxed);
                            if number >= count {
                                return;
                            }
                            one(number).await;
                        }
                    });
                }
                while let Some(done) = tasks.join_next().await {
                    done.expect("no panic");
                }
            });
            started.elapsed()
        }
    }
}

async fn decide(limiter: &RedisLimiter, policy: &Policy, key: u64) {
    let decision = limiter.check_key(policy, key, Cost::ONE).await;
    assert!(decision.expect("a decision").is_allowed());
}

fn policy(quota: &str) -> Policy {
    Policy::new("bench", [quota.parse().expect("a quota")]).expect("a policy")
}

const HOT_KEYS: u64 = 8;
