use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use super::{limiter::Asked, queue::Trouble};
use crate::{Decision, Unavailable};

pin_project! {
    /// A decision that Redis is asked for.
    ///
    /// Dropped before the batch it waits for is sent, it costs nothing; later, what it asked for may
    /// be debited all the same.
    #[must_use = "futures do nothing unless polled"]
    pub struct RedisFuture {
        #[pin]
        pub(super) receiver: oneshot::Receiver<Result<Decision, Trouble>>,
        pub(super) asked: Option<Asked>,
    }
}

impl Future for RedisFuture {
    type Output = Result<Decision, Unavailable>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.asked.is_none() {
            // Polled again after it was done, a future stays silent rather than panic.
            return Poll::Pending;
        }
        // Nobody answers where the tasks have ended with their runtime.
        let answer = ready!(this.receiver.poll(cx)).unwrap_or(Err(Trouble::Down));
        let Some(asked) = this.asked.take() else {
            return Poll::Pending;
        };
        Poll::Ready(answer.or_else(|trouble| asked.without_redis(trouble)))
    }
}

impl fmt::Debug for RedisFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFuture").finish_non_exhaustive()
    }
}
