use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_plugin_core::{Principal, RequestHead};

use super::{AuthError, Authenticator};
use crate::{Answer, config::InvalidConfig};

/// Bounds how long an authenticator may take; after that nobody knows who is calling, and the answer is
/// 503 with `Retry-After`: not a 401, and no challenge.
///
/// The time starts when an authenticator says that its answer has to wait; one that answers at once costs
/// nothing. What it was waiting for is dropped. It takes Tokio's timer: where no Tokio runtime with
/// its time driver is running, waiting panics, as `tokio::time::sleep` does.
///
/// ```
/// use std::time::Duration;
/// use tower_plugin_auth::{AuthError, AuthLayer, authenticate::{Deadline, from_async_fn}};
///
/// let directory = from_async_fn(|_| std::future::pending());
/// let layer = AuthLayer::new(Deadline::new(directory, Duration::from_millis(500))?);
/// # let _ = layer;
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct Deadline<A> {
    authenticator: A,
    limit: Duration,
}

impl<A: Authenticator> Deadline<A> {
    /// The longest limit accepted: callers have given up by then.
    pub const MAX: Duration = Duration::from_secs(60);

    /// Waits so long at most.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless the limit is between 1 millisecond and 1 minute.
    pub fn new(authenticator: A, limit: Duration) -> Result<Self, InvalidConfig> {
        if !(Duration::from_millis(1)..=Self::MAX).contains(&limit) {
            return Err(InvalidConfig::new(
                "deadline",
                "between 1 millisecond and 1 minute",
            ));
        }
        Ok(Self {
            authenticator,
            limit,
        })
    }
}

impl<A: Authenticator> Authenticator for Deadline<A> {
    type Future = DeadlineFuture<A::Future>;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future> {
        match self.authenticator.authenticate(request) {
            Answer::Ready(decision) => Answer::Ready(decision),
            Answer::Pending(decision) => Answer::Pending(DeadlineFuture {
                decision,
                sleep: sleep(self.limit),
            }),
        }
    }

    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        self.authenticator.mark_sensitive(headers);
    }

    fn credential_headers(&self) -> Vec<HeaderName> {
        self.authenticator.credential_headers()
    }

    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.authenticator.schemes()
    }

    fn waits_only_for_credentials(&self) -> bool {
        self.authenticator.waits_only_for_credentials()
    }
}

pin_project! {
    /// An answer that is waited for until the time is up.
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<F> {
        #[pin]
        decision: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Principal, AuthError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(decision) = this.decision.poll(cx) {
            return Poll::Ready(decision);
        }
        this.sleep.poll(cx).map(|()| Err(AuthError::TimedOut))
    }
}

impl<F> fmt::Debug for DeadlineFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineFuture").finish_non_exhaustive()
    }
}
