use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{FusedFuture, FutureExt, Shared, WeakShared};

use super::cache::Cache;
use crate::{
    Answer,
    store::{Found, TokenStore},
    token::TokenId,
};

/// A lookup, maybe shared with others who want to know the same.
#[must_use = "futures do nothing unless polled"]
pub struct CachedLookup(Shared<Boxed>);

type Boxed = Pin<Box<dyn Future<Output = Found> + Send>>;

/// A lookup others may join. It lives as long as somebody waits for it.
pub(super) struct Flight {
    number: u64,
    lookup: WeakShared<Boxed>,
}

/// Joins a lookup of this id, or starts one.
pub(super) fn start<S: TokenStore>(
    cache: &Arc<Cache>,
    store: &S,
    id: &TokenId,
) -> Answer<Found, CachedLookup> {
    let mut shard = cache.shard(id).lock();
    if let Some(lookup) = shard
        .flights
        .get(id)
        .and_then(|flight| flight.lookup.upgrade())
    {
        return Answer::Pending(CachedLookup(lookup));
    }
    let ticket = cache.ticket(&shard);
    let lookup = match store.get(id) {
        // What is there at once need not be remembered.
        Answer::Ready(found) => return Answer::Ready(found),
        Answer::Pending(lookup) => lookup,
    };
    let number = ticket.asked_at;
    let landing = Landing {
        cache: Arc::clone(cache),
        id: *id,
        number,
    };
    let boxed: Boxed = Box::pin(async move {
        let found = lookup.await;
        landing.cache.remember(&landing.id, ticket, &found);
        found
    });
    let lookup = boxed.shared();
    if let Some(weak) = lookup.downgrade() {
        let flight = Flight {
            number,
            lookup: weak,
        };
        shard.flights.insert(*id, flight);
    }
    Answer::Pending(CachedLookup(lookup))
}

/// Takes a lookup off the list when it has an answer, and when nobody waits for one any more.
struct Landing {
    cache: Arc<Cache>,
    id: TokenId,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(&self.id).lock();
        let is_this = |flight: &Flight| flight.number == self.number;
        if shard.flights.get(&self.id).is_some_and(is_this) {
            shard.flights.remove(&self.id);
        }
    }
}

impl Future for CachedLookup {
    type Output = Found;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Found> {
        // A future polled after it has finished may do anything but panic here.
        if self.0.is_terminated() {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for CachedLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedLookup").finish_non_exhaustive()
    }
}
