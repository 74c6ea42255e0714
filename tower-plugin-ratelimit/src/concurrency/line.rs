//! Engine: the requests of one key: how many are in flight, and who waits in line.
//!
//! A permit that comes back goes to the head of the line at once and stays counted, whether or not its
//! new owner has noticed. So whoever comes later finds none free and cannot overtake, and a line never
//! stands beside a free permit.

use std::{collections::VecDeque, mem, task::Waker};

/// The requests of one key.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Permits that are out, those included that wait to be collected.
    in_flight: u32,
    /// In the order of their tickets. The first `given` have a permit to collect.
    waiting: VecDeque<Waiter>,
    given: usize,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    waker: Waker,
}

/// What becomes of a request that wants a permit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    Admit,
    Refuse,
    Wait,
}

impl Line {
    /// Takes a permit, or a place in the line under a `ticket` greater than all before, or nothing.
    pub(super) fn enter(&mut self, max: u32, queue: u32, ticket: u64) -> Entry {
        if self.in_flight < max {
            self.in_flight += 1;
            Entry::Admit
        } else if self.waiting() < queue as usize {
            self.waiting.push_back(Waiter {
                ticket,
                waker: Waker::noop().clone(),
            });
            Entry::Wait
        } else {
            Entry::Refuse
        }
    }

    /// Takes back a permit, and says whom to wake if it went to somebody.
    pub(super) fn release(&mut self) -> Option<Waker> {
        match self.waiting.get_mut(self.given) {
            Some(next) => {
                self.given += 1;
                Some(mem::replace(&mut next.waker, Waker::noop().clone()))
            }
            None => {
                self.in_flight = self.in_flight.saturating_sub(1);
                None
            }
        }
    }

    /// Collects the permit that was given to a ticket, if one was; else remembers whom to wake. The waker
    /// that is not needed any more comes back with it.
    ///
    /// Wakers are other people's code: they are woken and dropped outside the lock.
    pub(super) fn collect(&mut self, ticket: u64, waker: Waker) -> (bool, Option<Waker>) {
        match self.position(ticket) {
            Some(at) if at < self.given => {
                self.given -= 1;
                self.waiting.remove(at);
                (true, Some(waker))
            }
            Some(at) => {
                let waiter = self.waiting.get_mut(at);
                (
                    false,
                    waiter.map(|waiter| mem::replace(&mut waiter.waker, waker)),
                )
            }
            None => (false, Some(waker)),
        }
    }

    /// Leaves the line. Returns whom to wake, if a permit went on to the next, and the waker to drop.
    pub(super) fn leave(&mut self, ticket: u64) -> (Option<Waker>, Option<Waker>) {
        let Some(at) = self.position(ticket) else {
            return (None, None);
        };
        let left = self.waiting.remove(at).map(|waiter| waiter.waker);
        if at >= self.given {
            return (None, left);
        }
        self.given -= 1;
        (self.release(), left)
    }

    fn position(&self, ticket: u64) -> Option<usize> {
        let found = self
            .waiting
            .binary_search_by_key(&ticket, |waiter| waiter.ticket);
        found.ok()
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many have no permit yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() - self.given
    }
}
