use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time};

/// What counts the requests in hand on one connection.
#[derive(Clone, Debug)]
pub(super) struct Requests(Arc<watch::Sender<usize>>);

/// A request in hand, until this is dropped.
#[derive(Debug)]
pub(super) struct InHand(Requests);

/// What sees them come and go.
#[derive(Debug)]
pub(super) struct Activity(watch::Receiver<usize>);

impl Requests {
    pub(super) fn new() -> (Self, Activity) {
        let (requests, activity) = watch::channel(0);
        (Self(Arc::new(requests)), Activity(activity))
    }

    pub(super) fn begin(&self) -> InHand {
        self.0.send_modify(|in_hand| *in_hand += 1);
        InHand(self.clone())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.0.send_modify(|in_hand| *in_hand -= 1);
    }
}

impl Activity {
    /// Completes when a request begins or ends.
    pub(super) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could begin one.
            std::future::pending::<()>().await;
        }
    }

    /// Completes when no request has been in hand for this long.
    pub(super) async fn quiet_for(&mut self, limit: Duration) {
        loop {
            let nothing_in_hand = self.0.wait_for(|in_hand| *in_hand == 0).await.is_ok();
            if nothing_in_hand && time::timeout(limit, self.next()).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn quiet_begins_anew_with_the_end_of_the_last_request() {
        let (requests, mut activity) = Requests::new();
        let (long, short) = (requests.begin(), requests.begin());
        let begin = Instant::now();
        let client = async move {
            sleep(LIMIT * 3).await;
            drop(short);
            sleep(LIMIT * 3).await;
            drop(long);
            sleep(LIMIT / 2).await;
            // Too short to be seen in hand.
            drop(requests.begin());
            requests
        };
        let ((), _requests) = tokio::join!(activity.quiet_for(LIMIT), client);
        assert_eq!(begin.elapsed().as_secs(), 30 + 30 + 5 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asked_is_quiet_from_the_start() {
        let (_requests, mut activity) = Requests::new();
        let begin = Instant::now();
        activity.quiet_for(LIMIT).await;
        assert_eq!(begin.elapsed().as_secs(), 10);
    }
}
