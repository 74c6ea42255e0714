use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Tokens, Verified, VerifyError};
use crate::{store::TokenStore, token::PresentedToken};

pin_project! {
    /// A verification waiting for its store.
    pub struct Verifying<S: TokenStore> {
        tokens: Tokens<S>,
        presented: PresentedToken,
        #[pin]
        lookup: S::Lookup,
    }
}

impl<S: TokenStore> Verifying<S> {
    pub(super) fn new(tokens: Tokens<S>, presented: PresentedToken, lookup: S::Lookup) -> Self {
        Self {
            tokens,
            presented,
            lookup,
        }
    }
}

impl<S: TokenStore> Future for Verifying<S> {
    type Output = Result<Verified, VerifyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let found = ready!(this.lookup.poll(cx));
        Poll::Ready(this.tokens.0.decide(this.presented, found))
    }
}

impl<S: TokenStore> fmt::Debug for Verifying<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifying")
            .field("presented", &self.presented)
            .finish_non_exhaustive()
    }
}
