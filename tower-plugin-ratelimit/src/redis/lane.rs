//! The way of a share of the keys to Redis: a queue, and the task that empties it.
//!
//! One batch is under way at a time, and what comes meanwhile makes the next one. So batches grow with
//! the load and the distance, without a timer, and a key is in one of them only.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use redis::RedisError;
use tokio::time::{Interval, MissedTickBehavior};
use tower_plugin_core::Clock;

use super::{
    ask::Ask,
    breaker::Breaker,
    flight::Flight,
    link::{Link, Numbered},
    queue::{Queue, Trouble},
    script,
    stats::Counters,
    table::Table,
    terms::Terms,
    wire::Batch,
};

/// What the lanes of a limiter share.
pub(super) struct Core {
    pub(super) link: Link,
    pub(super) table: Table,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    pub(super) deadline: Duration,
    pub(super) patience: Duration,
    pub(super) prefix: String,
    /// Tells this process from others, and from itself before it was restarted.
    pub(super) replica: u64,
    /// Whether batches bring the time, for servers whose scripts may not ask for it.
    pub(super) brings_time: bool,
}

pub(super) struct Lane {
    number: usize,
    core: Arc<Core>,
    queue: Arc<Queue>,
    breaker: Breaker,
    /// When to look whose deadline has passed. They go on from one call to the next: however quick
    /// each call is, who waits in the queue for many of them is not forgotten.
    ticks: Interval,
    /// Of the last ask.
    sequence: u64,
}

impl Lane {
    /// Only in a task of a runtime, for its timers.
    pub(super) fn new(number: usize, core: Arc<Core>, queue: Arc<Queue>) -> Self {
        let mut ticks = tokio::time::interval(core.deadline / TICKS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            number,
            core,
            queue,
            breaker: Breaker::default(),
            ticks,
            sequence: 0,
        }
    }

    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        loop {
            if self.queue.is_empty() {
                self.queue.wake.notified().await;
            }
            self.send_batch().await;
            if self.breaker.is_open() {
                self.recover().await;
            }
        }
    }

    async fn send_batch(&mut self) {
        let connecting = Arc::clone(&self.core);
        let connection = self.drive(&mut [], connecting.link.connection()).await;
        let Numbered {
            number,
            mut connection,
        } = match connection {
            Ok(connection) => connection,
            Err(error) => return self.failed(&error, &mut []),
        };
        let sent_at = self.core.clock.monotonic_nanos();
        let (mut flights, batch, keys) = self.load(sent_at);
        if keys.is_empty() {
            return;
        }
        let bytes = batch.bytes();
        let call = script::run(&mut connection, &keys, &bytes, self.core.patience);
        match self.drive(&mut flights, call).await {
            Ok(bytes) => {
                let now = self.core.clock.monotonic_nanos();
                let took = Duration::from_nanos(now.saturating_sub(sent_at));
                self.core.counters.batch(took, &flights);
                let Some((server, answers)) = batch.answers(&bytes) else {
                    return self.failed(&not_ours(), &mut flights);
                };
                for (flight, answer) in flights.into_iter().zip(answers) {
                    flight.land(&self.core.table, &answer, server, sent_at, now);
                }
                if took <= self.core.deadline {
                    self.breaker.answered_in_time();
                }
            }
            Err(error) => {
                self.core.link.failed(number, &error);
                self.failed(&error, &mut flights);
            }
        }
    }

    /// Packs what waits.
    fn load(&mut self, now: u64) -> (Vec<Flight>, Batch, Vec<String>) {
        let time = if self.core.brings_time {
            super::micros_since_2020(&*self.core.clock)
        } else {
            0
        };
        let mut batch = Batch::new(time, self.core.replica);
        let mut keys = 0;
        let mut versions = Vec::new();
        let groups = self.queue.take(|group| {
            // Every policy takes some room, so some come with the next batch.
            let version = group.policy.version();
            if !versions.contains(&version) {
                versions.push(version);
            }
            keys += 1;
            keys <= MAX_KEYS && versions.len() <= Batch::MAX_POLICIES
        });
        let mut flights = Vec::with_capacity(groups.len());
        let mut names = Vec::with_capacity(groups.len());
        for group in groups {
            let (mut flight, rest) = Flight::new(group);
            if let Some(rest) = rest {
                self.queue.put_back(rest);
            }
            let leases = flight.terms.reserve > 0;
            if flight.operations.is_empty() && !leases {
                continue;
            }
            let mut ask = Ask {
                operations: flight.operations.clone(),
                ..Ask::default()
            };
            if leases || ask.undoes() {
                self.sequence += 1;
                flight.sequence = self.sequence;
                ask.sequence = self.sequence;
            }
            if leases {
                let version = flight.policy.version();
                (ask.keep, ask.surplus) = self.core.table.enter(flight.key, now, |entry| {
                    entry.known.ask(version, &flight.terms, ask.sequence, now)
                });
            }
            batch.push(flight.policy.version(), &flight.terms, &ask);
            names.push(self.name(flight.key));
            flights.push(flight);
        }
        (flights, batch, names)
    }

    /// The key in Redis. In a cluster, those of a lane lie on one node.
    fn name(&self, key: u128) -> String {
        let prefix = &self.core.prefix;
        if self.core.link.is_cluster() {
            format!("{prefix}{{{}}}:{key:032x}", self.number)
        } else {
            format!("{prefix}{key:032x}")
        }
    }

    /// Waits for something, and meanwhile sends away whose deadline has passed.
    async fn drive<F: Future>(&mut self, flights: &mut [Flight], future: F) -> F::Output {
        let mut future = pin!(future);
        let started = self.core.clock.monotonic_nanos();
        let deadline = self.core.deadline.as_nanos() as u64;
        let mut missed = 0;
        loop {
            let output_or_tick = poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => self.ticks.poll_tick(cx).map(|_| None),
            });
            if let Some(output) = output_or_tick.await {
                return output;
            }
            let now = self.core.clock.monotonic_nanos();
            let before = now.saturating_sub(deadline);
            self.queue.expire(before);
            for flight in &mut *flights {
                flight.expire(before);
            }
            // Every deadline that passes without an answer counts.
            if now.saturating_sub(started) / deadline > missed {
                missed += 1;
                if self.breaker.missed() {
                    self.down();
                }
            }
        }
    }

    fn failed(&mut self, error: &RedisError, flights: &mut [Flight]) {
        self.core.counters.failed(error);
        for flight in flights {
            self.core.table.look(flight.key, |entry| {
                entry.known.lost(flight.sequence);
                (None, ())
            });
            flight.fail(Trouble::Down);
        }
        let is_lost = error.is_io_error() || error.is_connection_dropped();
        if self.breaker.failed(is_lost) {
            self.down();
        }
    }

    fn down(&self) {
        self.queue.close();
        self.core.counters.down(true);
        tracing::warn!(
            lane = self.number,
            "redis does not answer: decisions are made without it"
        );
    }

    /// Tries Redis with a decision of its own until one comes in time.
    async fn recover(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.probe().await {
                Ok(()) => break,
                Err(error) => self.core.counters.failed(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.breaker.close();
        self.core.counters.down(false);
        self.queue.open();
        tracing::info!(lane = self.number, "redis answers again");
    }

    /// A real decision: the server may be up, and still not be able to run or write anything.
    async fn probe(&self) -> Result<(), RedisError> {
        let Numbered {
            number,
            mut connection,
        } = self.core.link.connection().await?;
        let mut batch = Batch::new(u64::from(self.core.brings_time), self.core.replica);
        let ask = Ask {
            operations: vec![super::ask::Operation::Charge { cost: 1 }],
            ..Ask::default()
        };
        batch.push(0, &Terms::probe(), &ask);
        let name = self.name(0);
        let bytes = batch.bytes();
        let answer = script::run(&mut connection, &[name], &bytes, self.core.deadline).await;
        match answer {
            Ok(bytes) if batch.answers(&bytes).is_some() => Ok(()),
            Ok(_) => Err(not_ours()),
            Err(error) => {
                self.core.link.failed(number, &error);
                Err(error)
            }
        }
    }
}

/// However its task ends, nobody waits for it any more.
impl Drop for Lane {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn not_ours() -> RedisError {
    (
        redis::ErrorKind::UnexpectedReturnType,
        "not an answer of this script",
    )
        .into()
}

/// Above this, a batch only makes others wait for longer.
const MAX_KEYS: usize = 128;
/// A deadline is met but for an eighth of it.
const TICKS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// So that a server that returns is noticed within a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
