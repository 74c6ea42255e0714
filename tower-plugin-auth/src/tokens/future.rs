use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Chore, Decision, Tokens, Verified, VerifyError, meter::Wait};
use crate::{store::TokenStore, token::PresentedToken};

pin_project! {
    /// A verification waiting for its store.
    #[must_use = "futures do nothing unless polled"]
    pub struct Verifying<S: TokenStore> {
        #[pin]
        state: State<S, S::Lookup>,
        wait: Wait<S>,
    }
}

impl<S: TokenStore> Verifying<S> {
    pub(super) fn looking_up(
        tokens: Tokens<S>,
        presented: PresentedToken,
        lookup: S::Lookup,
    ) -> Self {
        Self {
            wait: Wait::begin(&tokens),
            state: State::LookingUp {
                tokens,
                presented,
                lookup,
            },
        }
    }

    pub(super) fn finishing(tokens: Tokens<S>, chore: Chore) -> Self {
        Self {
            wait: Wait::begin(&tokens),
            state: State::Finishing {
                work: Box::pin(tokens.finish(chore)),
            },
        }
    }
}

impl<S: TokenStore> Future for Verifying<S> {
    type Output = Result<Verified, VerifyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let verdict = ready!(this.state.poll(cx));
        this.wait.end(&verdict);
        Poll::Ready(verdict)
    }
}

impl<S: TokenStore> State<S, S::Lookup> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Verified, VerifyError>> {
        let mut state = self.as_mut();
        loop {
            let next = match state.as_mut().project() {
                StateProj::LookingUp {
                    tokens,
                    presented,
                    lookup,
                } => match tokens.0.decide(presented, ready!(lookup.poll(cx))) {
                    Decision::Made(verdict) => return Poll::Ready(verdict),
                    Decision::After(chore) => Self::Finishing {
                        work: Box::pin(tokens.clone().finish(chore)),
                    },
                },
                StateProj::Finishing { work } => return work.as_mut().poll(cx),
            };
            state.set(next);
        }
    }
}

impl<S: TokenStore> fmt::Debug for Verifying<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifying").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, L> {
        LookingUp { tokens: Tokens<S>, presented: PresentedToken, #[pin] lookup: L },
        // One request in a great many has something to write down.
        Finishing { work: Pin<Box<dyn Future<Output = Result<Verified, VerifyError>> + Send>> },
    }
}
