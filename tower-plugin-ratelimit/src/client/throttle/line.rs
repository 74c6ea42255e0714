use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use tower_plugin_core::{Clock, Code};

use super::{
    super::{Head, retry_after::retry_after},
    Pace, Pacer, Verdict,
    headroom::headroom,
};

/// Those who wait, first come first served.
pub(super) struct Line {
    pub(super) settings: Settings,
    state: Mutex<State>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) pacer: Pacer,
    pub(super) max_waiting: usize,
    pub(super) max_wait: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    pace: Pace,
    /// In the order of their tickets.
    waiting: VecDeque<Waiting>,
    next_ticket: u64,
    /// Since when the first could go and does not.
    due_since: Option<u64>,
}

struct Waiting {
    ticket: u64,
    waker: Option<Waker>,
    /// It let its turn pass, because nobody polls it; until somebody does, it is passed over.
    is_absent: bool,
}

/// How it goes on.
pub(super) enum Turn<T> {
    Go,
    Refuse(Refusal),
    Wait(T),
}

/// Why nothing is sent.
pub(super) enum Refusal {
    /// There is no room in the line, and there will be in this time.
    Full(Duration),
    /// It would take this long.
    TooLong(Duration),
}

impl Line {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
        }
    }

    /// Goes, or takes a place at the end.
    pub(super) fn enter(self: &Arc<Self>) -> Turn<Place> {
        let mut state = self.lock();
        // Who comes late does not go first, even if the others are slow to notice that it is time.
        let now = self.now();
        let ahead = state.present_before(usize::MAX);
        if ahead == 0 && self.settings.pacer.decide(&mut state.pace, now) == Verdict::Go {
            return Turn::Go;
        }
        let wait = self.wait(&mut state, now, ahead);
        if state.waiting.len() >= self.settings.max_waiting {
            return Turn::Refuse(Refusal::Full(wait));
        }
        if wait > self.settings.max_wait {
            return Turn::Refuse(Refusal::TooLong(wait));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(Waiting {
            ticket,
            waker: None,
            is_absent: false,
        });
        Turn::Wait(Place {
            line: Arc::clone(self),
            ticket,
        })
    }

    /// Heeds what a response says of the server's quota.
    pub(super) fn observe(&self, head: Head<'_>) {
        let said = headroom(head.headers());
        let is_refused = match head.code() {
            Some(code) => matches!(code, Code::ResourceExhausted | Code::Unavailable),
            None => matches!(head.status().as_u16(), 429 | 503),
        };
        let pause = is_refused
            .then(|| retry_after(head.headers(), self.settings.clock.wall()))
            .flatten();
        if said.is_empty() && pause.is_none() {
            return;
        }
        let mut state = self.lock();
        let now = self.now();
        if let Some(pause) = pause {
            let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
            self.settings.pacer.pause(&mut state.pace, now, nanos);
        }
        if !said.is_empty() && self.settings.pacer.observe(&mut state.pace, now, &said) {
            let wakers = state.wakers_from(0);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Read behind the lock, so that decisions are made in the order of their times.
    fn now(&self) -> u64 {
        self.settings.clock.monotonic_nanos()
    }

    fn wait(&self, state: &mut State, now: u64, ahead: usize) -> Duration {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        Duration::from_nanos(self.settings.pacer.wait(&mut state.pace, now, ahead))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn position(&self, ticket: u64) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&ticket, |waiting| waiting.ticket)
            .ok()
    }

    /// How many wait before that position and notice when it is their turn.
    fn present_before(&self, position: usize) -> usize {
        let before = self.waiting.iter().take(position);
        before.filter(|waiting| !waiting.is_absent).count()
    }

    fn first_present(&mut self) -> Option<&mut Waiting> {
        self.waiting.iter_mut().find(|waiting| !waiting.is_absent)
    }

    fn wakers_from(&mut self, position: usize) -> Vec<Waker> {
        let waiting = self.waiting.iter_mut().skip(position);
        waiting.filter_map(|it| it.waker.take()).collect()
    }
}

/// A place in the line; dropped, it is free, and those behind move up.
pub(super) struct Place {
    line: Arc<Line>,
    ticket: u64,
}

impl Place {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Whether it is its turn; if not, how long until it is.
    pub(super) fn poll(&self, waker: &Waker) -> Turn<Duration> {
        let line = &self.line;
        let mut state = line.lock();
        let Some(position) = state.position(self.ticket) else {
            return Turn::Go;
        };
        if let Some(waiting) = state.waiting.get_mut(position) {
            waiting.is_absent = false;
            waiting.waker = Some(waker.clone());
        }
        let now = line.now();
        loop {
            let ahead = state.present_before(position);
            let wait = line.wait(&mut state, now, ahead);
            if wait > line.settings.max_wait {
                return Turn::Refuse(Refusal::TooLong(wait));
            }
            if ahead == 0 && wait.is_zero() {
                break;
            }
            if ahead == 0 || !line.wait(&mut state, now, 0).is_zero() {
                state.due_since = None;
                return Turn::Wait(wait);
            }
            // It is the turn of one before it, which has not noticed yet.
            let since = *state.due_since.get_or_insert(now);
            let patience = PATIENCE.saturating_sub(Duration::from_nanos(now.saturating_sub(since)));
            if !patience.is_zero() {
                return Turn::Wait(patience);
            }
            state.due_since = None;
            if let Some(first) = state.first_present() {
                first.is_absent = true;
            }
        }
        let _debited = line.settings.pacer.decide(&mut state.pace, now);
        state.waiting.remove(position);
        state.due_since = None;
        // The next one may wait for this one only.
        let next = state.first_present().and_then(|next| next.waker.take());
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
        Turn::Go
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let wakers = {
            let mut state = self.line.lock();
            let Some(position) = state.position(self.ticket) else {
                return;
            };
            state.waiting.remove(position);
            state.wakers_from(position)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("waiting", &self.lock().waiting.len())
            .finish_non_exhaustive()
    }
}

/// How long others wait for one that does not notice that it is its turn. Without a limit, one future
/// that nobody polls would hold up the line for good.
const PATIENCE: Duration = Duration::from_millis(50);
