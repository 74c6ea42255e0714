//! What waits for the next batch of a lane.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::terms::Terms;
use crate::{Decision, Operation, Policy};

/// Decisions that wait, one group for each key.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Told when something waits that did not before.
    pub(super) wake: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    groups: HashMap<u128, Group, BuildHasherDefault<Hashed>>,
    /// In which they came; each key once.
    order: VecDeque<u128>,
    waiters: usize,
    /// Whether Redis is taken for down, and nobody is to wait for it.
    is_closed: bool,
}

/// What waits for one key.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: u128,
    pub(super) policy: Policy,
    pub(super) terms: Arc<Terms>,
    /// Empty if all that is wanted is a lease.
    pub(super) waiters: VecDeque<Waiter>,
}

/// Somebody who waits for a decision.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) operation: Operation,
    /// Nanoseconds of the limiter's clock.
    pub(super) since: u64,
    pub(super) answer: oneshot::Sender<Result<Decision, Trouble>>,
}

/// Why there is no decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// Redis is taken for down.
    Down,
    /// As many wait as may.
    Full,
    /// Not within the deadline.
    Late,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Notify::new(),
            capacity,
        }
    }

    /// Waits for the next batch.
    pub(super) fn push(
        &self,
        key: u128,
        policy: &Policy,
        terms: &Arc<Terms>,
        waiter: Waiter,
    ) -> Result<(), Trouble> {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return Err(Trouble::Down);
        }
        if waiting.waiters >= self.capacity {
            return Err(Trouble::Full);
        }
        waiting.waiters += 1;
        waiting.group(key, policy, terms).waiters.push_back(waiter);
        let is_first = waiting.order.len() == 1;
        drop(waiting);
        if is_first {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Has a lease asked for with the next batch.
    pub(super) fn prefetch(&self, key: u128, policy: &Policy, terms: &Arc<Terms>) {
        let mut waiting = self.waiting.lock();
        if !waiting.is_closed && waiting.order.len() < self.capacity {
            waiting.group(key, policy, terms);
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// The groups that came first, until one does not fit; the first always does.
    pub(super) fn take(&self, mut fits: impl FnMut(&Group) -> bool) -> Vec<Group> {
        let mut waiting = self.waiting.lock();
        let mut taken = Vec::new();
        while let Some(key) = waiting.order.front() {
            let key = *key;
            let Some(group) = waiting.groups.get(&key) else {
                waiting.order.pop_front();
                continue;
            };
            if !fits(group) && !taken.is_empty() {
                break;
            }
            waiting.order.pop_front();
            if let Some(mut group) = waiting.groups.remove(&key) {
                waiting.waiters -= group.waiters.len();
                // Who has gone away pays nothing.
                group.waiters.retain(|waiter| !waiter.answer.is_closed());
                taken.push(group);
            }
        }
        taken
    }

    /// Puts those back, in front, for whom there was no room.
    pub(super) fn put_back(&self, group: Group) {
        let mut waiting = self.waiting.lock();
        waiting.waiters += group.waiters.len();
        match waiting.groups.get_mut(&group.key) {
            Some(newer) => {
                for waiter in group.waiters.into_iter().rev() {
                    newer.waiters.push_front(waiter);
                }
            }
            None => {
                waiting.order.push_front(group.key);
                waiting.groups.insert(group.key, group);
            }
        }
    }

    /// Sends away who has waited since before then.
    pub(super) fn expire(&self, before: u64) {
        let mut waiting = self.waiting.lock();
        let mut gone = 0;
        for group in waiting.groups.values_mut() {
            while let Some(waiter) = group.waiters.pop_front() {
                if waiter.since > before {
                    group.waiters.push_front(waiter);
                    break;
                }
                gone += 1;
                let _ = waiter.answer.send(Err(Trouble::Late));
            }
        }
        waiting.waiters -= gone;
    }

    /// Sends everyone away, and whoever comes.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        waiting.waiters = 0;
        waiting.order.clear();
        for (_, group) in waiting.groups.drain() {
            for waiter in group.waiters {
                let _ = waiter.answer.send(Err(Trouble::Down));
            }
        }
    }

    pub(super) fn open(&self) {
        self.waiting.lock().is_closed = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().order.is_empty()
    }
}

impl Waiting {
    fn group(&mut self, key: u128, policy: &Policy, terms: &Arc<Terms>) -> &mut Group {
        let order = &mut self.order;
        let group = self.groups.entry(key).or_insert_with(|| {
            order.push_back(key);
            Group {
                key,
                policy: policy.clone(),
                terms: Arc::clone(terms),
                waiters: VecDeque::new(),
            }
        });
        if group.policy.version() != policy.version() {
            // Everyone decides by the quotas that hold now.
            group.policy = policy.clone();
            group.terms = Arc::clone(terms);
        }
        group
    }
}

/// A key is a keyed hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key >> 32) as u64;
    }
}
