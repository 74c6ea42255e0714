use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use moka::future::Cache;
use tower_layer::Layer;
use tower_plugin_core::RequestHead;

use super::PolicyLookup;
use crate::Policy;

/// Looks up the policy of a request before it is limited.
///
/// See the [module docs](super) for an example.
#[derive(Clone)]
#[must_use]
pub struct PolicyLookupLayer {
    directory: Directory,
}

/// Whom to ask, and what was answered. Clones share it.
#[derive(Clone)]
pub(super) struct Directory {
    cache_key: CacheKeyFn,
    ask: AskFn,
    answers: Cache<Box<str>, Option<Policy>>,
}

type CacheKeyFn = Arc<dyn Fn(&RequestHead<'_>) -> Option<Box<str>> + Send + Sync>;
type AskFn = Arc<dyn Fn(Box<str>) -> Asking<Answer> + Send + Sync>;
type Asking<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Answer = Result<Option<Policy>, ()>;

impl PolicyLookupLayer {
    /// Asks `lookup` about what `cache_key` finds in a request, and believes the answer for `ttl`.
    ///
    /// `None` as an answer means the policy that holds otherwise. At most `capacity` answers are kept.
    ///
    /// # Errors
    ///
    /// [`InvalidLookup`] unless `ttl` is in 1 ms to 24 hours and `capacity` in 1 to 10 million.
    pub fn new<K, F, R, E>(
        cache_key: K,
        lookup: F,
        ttl: Duration,
        capacity: u64,
    ) -> Result<Self, InvalidLookup>
    where
        K: Fn(&RequestHead<'_>) -> Option<Box<str>> + Send + Sync + 'static,
        F: Fn(Box<str>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Policy>, E>> + Send + 'static,
        E: fmt::Display,
    {
        if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
            return Err(InvalidLookup::Ttl);
        }
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return Err(InvalidLookup::Capacity);
        }
        let ask = move |key| -> Asking<Answer> {
            let asking = lookup(key);
            Box::pin(async {
                // The operator is told why; the caller is not.
                asking
                    .await
                    .map_err(|error| tracing::warn!(%error, "no policy could be looked up"))
            })
        };
        Ok(Self {
            directory: Directory {
                cache_key: Arc::new(cache_key),
                ask: Arc::new(ask),
                answers: Cache::builder()
                    .max_capacity(capacity)
                    .time_to_live(ttl)
                    .build(),
            },
        })
    }
}

impl Directory {
    pub(super) fn cache_key(&self, request: &RequestHead<'_>) -> Option<Box<str>> {
        (self.cache_key)(request)
    }

    /// One caller of several asks; if it goes away, another does.
    pub(super) fn look_up(&self, key: Box<str>) -> Asking<Answer> {
        let Self { ask, answers, .. } = self.clone();
        Box::pin(async move {
            let about = key.clone();
            // Nothing is asked before it is this request's turn to ask.
            let asking = async move { ask(about).await };
            let answer = answers.try_get_with(key, asking).await;
            answer.map_err(|_| ())
        })
    }
}

impl<S> Layer<S> for PolicyLookupLayer {
    type Service = PolicyLookup<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PolicyLookup::new(inner, self.directory.clone())
    }
}

impl fmt::Debug for PolicyLookupLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.directory.fmt(f)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLookup")
            .field("answers", &self.answers.entry_count())
            .finish_non_exhaustive()
    }
}

/// A lookup that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidLookup {
    /// The capacity is out of range.
    Capacity,
    /// The time to live is out of range.
    Ttl,
}

impl fmt::Display for InvalidLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capacity => "policy lookup: capacity must be in 1 to 10000000",
            Self::Ttl => "policy lookup: ttl must be in 1 ms to 24 hours",
        })
    }
}

impl std::error::Error for InvalidLookup {}

const MIN_TTL: Duration = Duration::from_millis(1);
const MAX_TTL: Duration = Duration::from_secs(86_400);
const MAX_CAPACITY: u64 = 10_000_000;
