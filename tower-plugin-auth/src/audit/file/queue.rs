//! Events on their way from those who record them to the thread that writes them.

use std::{collections::VecDeque, mem, time::Duration};

use parking_lot::{Condvar, Mutex};

/// Bounded; whoever finds it full waits as long as he was told to, and then the event is dropped.
pub(super) struct Queue {
    capacity: usize,
    patience: Duration,
    state: Mutex<State>,
    /// Something to write, or the end.
    work: Condvar,
    /// Room, or the end.
    room: Condvar,
    /// More is on disk, or the end.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    /// Those who wait for room: waking nobody is not free.
    hopefuls: usize,
    writer_idles: bool,
    accepted: u64,
    settled: u64,
    dropped: u64,
    /// Of the dropped ones, those the log does not tell of yet.
    untold: u64,
    is_closed: bool,
    has_ended: bool,
}

/// What there is to write at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<String>,
    /// How many were dropped since the batch before.
    pub(super) dropped: u64,
}

impl Queue {
    pub(super) fn new(capacity: usize, patience: Duration) -> Self {
        Self {
            capacity,
            patience,
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            room: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    pub(super) fn push(&self, event: String) {
        let mut state = self.state.lock();
        let is_full = |state: &mut State| {
            state.waiting.len() >= self.capacity && !state.is_closed && !state.has_ended
        };
        if is_full(&mut state) && !self.patience.is_zero() {
            state.hopefuls += 1;
            self.room.wait_while_for(&mut state, is_full, self.patience);
            state.hopefuls -= 1;
        }
        if state.waiting.len() >= self.capacity || state.has_ended {
            state.dropped += 1;
            state.untold += 1;
            return;
        }
        state.accepted += 1;
        state.waiting.push_back(event);
        if mem::take(&mut state.writer_idles) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// At most `max` events, as soon as there is one; none when nothing will come any more.
    pub(super) fn take(&self, max: usize) -> Option<Batch> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && state.untold == 0 {
            if state.is_closed {
                return None;
            }
            state.writer_idles = true;
            self.work.wait(&mut state);
        }
        state.writer_idles = false;
        let count = state.waiting.len().min(max);
        let batch = Batch {
            events: state.waiting.drain(..count).collect(),
            dropped: mem::take(&mut state.untold),
        };
        if state.hopefuls > 0 {
            drop(state);
            self.room.notify_all();
        }
        Some(batch)
    }

    /// So many are on disk.
    pub(super) fn written(&self, count: usize) {
        self.state.lock().settled += count as u64;
        self.progress.notify_all();
    }

    /// So many never will be.
    pub(super) fn lost(&self, batch: &Batch) {
        let mut state = self.state.lock();
        let count = batch.events.len() as u64;
        state.settled += count;
        state.dropped += count;
        drop(state);
        self.progress.notify_all();
    }

    /// Waits between two attempts to write, or less if there is to be none after the next; whether so.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        self.work
            .wait_while_for(&mut state, |state| !state.is_closed, pause);
        state.is_closed
    }

    /// Whether all that was accepted until now is on disk, or lost, within this time.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let mut state = self.state.lock();
        let goal = state.accepted;
        let is_behind = |state: &mut State| state.settled < goal && !state.has_ended;
        self.progress.wait_while_for(&mut state, is_behind, within);
        state.settled >= goal
    }

    /// Lets the writer finish what there is; whether it has, within this time.
    pub(super) fn close(&self, within: Duration) -> bool {
        let mut state = self.state.lock();
        state.is_closed = true;
        self.work.notify_all();
        self.room.notify_all();
        self.progress
            .wait_while_for(&mut state, |state| !state.has_ended, within);
        state.has_ended
    }

    /// The writer is gone.
    pub(super) fn end(&self) {
        self.state.lock().has_ended = true;
        self.room.notify_all();
        self.progress.notify_all();
    }

    /// How many wait, and how many were dropped.
    pub(super) fn counts(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.waiting.len(), state.dropped)
    }
}
