//! A request that waits for its turn.
//!
//! Its turn was fixed when it was decided about, behind those decided before it: there is no queue to
//! keep, and nobody is overtaken.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::Request;
use tower_service::Service;

use super::ticket::Ticket;
use crate::Limiter;

pub(super) struct Waiting<S, L: Limiter, ReqBody> {
    turn: Turn<L>,
    sleep: Pin<Box<Sleep>>,
    service: S,
    request: Request<ReqBody>,
}

impl<S, L: Limiter, ReqBody> Waiting<S, L, ReqBody> {
    pub(super) fn new(ticket: Box<Ticket<L>>, service: S, request: Request<ReqBody>) -> Self {
        Self {
            sleep: Box::pin(sleep(ticket.decision().wait())),
            turn: Turn {
                ticket: Some(ticket),
            },
            service,
            request,
        }
    }

    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }

    /// Goes on.
    pub(super) fn call(self) -> (S::Future, Option<Box<Ticket<L>>>)
    where
        S: Service<Request<ReqBody>>,
    {
        let Self {
            turn,
            mut service,
            request,
            ..
        } = self;
        let ticket = turn.has_come();
        (service.call(request), ticket)
    }
}

/// A place among those who wait, given back when it is dropped.
struct Turn<L: Limiter> {
    ticket: Option<Box<Ticket<L>>>,
}

impl<L: Limiter> Turn<L> {
    fn has_come(mut self) -> Option<Box<Ticket<L>>> {
        let ticket = self.ticket.take()?;
        ticket.stop_waiting(true);
        ticket.follows_up().then_some(ticket)
    }
}

impl<L: Limiter> Drop for Turn<L> {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            ticket.stop_waiting(false);
        }
    }
}

#[cfg(feature = "wait")]
use tokio::time::{Sleep, sleep};

/// Without the feature no policy lets requests wait.
#[cfg(not(feature = "wait"))]
type Sleep = std::future::Ready<()>;

#[cfg(not(feature = "wait"))]
fn sleep(_: std::time::Duration) -> Sleep {
    std::future::ready(())
}
