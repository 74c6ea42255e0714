use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, Uri};
use tokio::time::{Sleep, sleep};
use tower::retry::{
    Policy,
    budget::{Budget, TpsBudget},
};
use tower_plugin_core::{Clock, SystemClock};

use super::{
    super::{ByStatus, Classify, Head, Outcome, retry_after::retry_after},
    Backoff, Replay,
};

/// Decides what is sent again, and when: give it to [`RetryLayer`](super::super::RetryLayer).
///
/// By default up to 3 retries of requests with an idempotent method (RFC 9110 section 9.2.2), after
/// what [`ByStatus`] calls a failure, with the default [`Backoff`] and the default
/// [`TpsBudget`]: retries may be a fifth of the requests, and 10 a second beyond that.
///
/// See the [module docs](super::super) for an example.
#[must_use]
pub struct RetryPolicy<C = ByStatus> {
    settings: Arc<Settings>,
    classify: Arc<C>,
    /// How often the request of this session was sent again. Tower clones the policy per request.
    retries: u32,
}

#[derive(Clone)]
struct Settings {
    max_retries: u32,
    backoff: Backoff,
    budget: Option<Arc<dyn Budget + Send + Sync>>,
    is_idempotent: Arc<IsIdempotent>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

type IsIdempotent = dyn Fn(&Method, &Uri, &HeaderMap) -> bool + Send + Sync;

impl RetryPolicy {
    /// The defaults, with a budget of its own that all clones share.
    pub fn new() -> Self {
        let random = RandomState::new();
        Self {
            settings: Arc::new(Settings {
                max_retries: 3,
                backoff: Backoff::default(),
                budget: Some(Arc::new(TpsBudget::default())),
                is_idempotent: Arc::new(|method, _, _| method.is_idempotent()),
                clock: Arc::new(SystemClock::new()),
                random: Arc::new(move || next_random(&random)),
            }),
            classify: Arc::new(ByStatus::default()),
            retries: 0,
        }
    }
}

impl<C> RetryPolicy<C> {
    /// Sets how often one request may be sent again; 0 turns retries off.
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.settings_mut().max_retries = retries;
        self
    }

    /// Sets how long to wait where the server does not say. Its maximum is also the longest wait that
    /// a server is granted: if it asks for more, its answer stands.
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.settings_mut().backoff = backoff;
        self
    }

    /// Sets what limits the retries of all requests together, so that they cannot multiply the load on
    /// a service that fails. Share one between the clients of one service.
    pub fn with_budget<B: Budget + Send + Sync + 'static>(mut self, budget: Arc<B>) -> Self {
        self.settings_mut().budget = Some(budget);
        self
    }

    /// Says which requests may arrive twice without harm, instead of those with an idempotent method.
    ///
    /// gRPC and Connect calls are POST, so name the ones that are safe:
    ///
    /// ```
    /// use tower_plugin_ratelimit::client::RetryPolicy;
    ///
    /// let policy = RetryPolicy::new().with_idempotent(|method, uri, headers| {
    ///     method.is_idempotent()
    ///         || headers.contains_key("idempotency-key")
    ///         || uri.path() == "/inventory.v1.Inventory/Get"
    /// });
    /// # let _ = policy;
    /// ```
    pub fn with_idempotent<F>(mut self, is_idempotent: F) -> Self
    where
        F: Fn(&Method, &Uri, &HeaderMap) -> bool + Send + Sync + 'static,
    {
        self.settings_mut().is_idempotent = Arc::new(is_idempotent);
        self
    }

    /// Says which gRPC codes and HTTP statuses are retried.
    pub fn with_statuses(self, statuses: ByStatus) -> RetryPolicy<ByStatus> {
        self.classified(statuses)
    }

    /// Says which outcomes are retried: those called [`Outcome::Failure`].
    pub fn with_classify<E, F>(self, classify: F) -> RetryPolicy<F>
    where
        F: Fn(Result<Head<'_>, &E>) -> Outcome,
    {
        self.classified(classify)
    }

    /// Sets the clock that `Retry-After` dates are compared with.
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings_mut().clock = Arc::new(clock);
        self
    }

    /// Sets where jitter takes its random numbers from: uniform over all of `u64`.
    pub fn with_random(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.settings_mut().random = Arc::new(random);
        self
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    fn classified<D>(self, classify: D) -> RetryPolicy<D> {
        RetryPolicy {
            settings: self.settings,
            classify: Arc::new(classify),
            retries: self.retries,
        }
    }

    /// How long to wait before the next attempt; `None` where the server asks not to come again, or
    /// not for longer than we are willing to wait.
    fn delay<E>(&self, result: Result<Head<'_>, &E>) -> Option<Duration> {
        let backoff = self.settings.backoff;
        let asked = match result {
            Ok(head) => match head.headers().get("grpc-retry-pushback-ms") {
                // gRFC A6: what is not a number, or a negative one, is "do not retry".
                Some(millis) => {
                    let millis: u32 = millis.to_str().ok()?.parse().ok()?;
                    Some(Duration::from_millis(millis.into()))
                }
                None => retry_after(head.headers(), self.settings.clock.wall()),
            },
            Err(_) => None,
        };
        let random = (self.settings.random)();
        match asked {
            Some(delay) if delay > backoff.maximum() => None,
            Some(delay) => Some(backoff.jittered(delay, random)),
            None => Some(backoff.delay(self.retries, random)),
        }
    }
}

impl<B, R, E, C> Policy<Request<B>, Response<R>, E> for RetryPolicy<C>
where
    B: Replay,
    C: Classify<E>,
{
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<B>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Sleep> {
        let result = result.as_ref().map(Head::of);
        if self.classify.classify(result) != Outcome::Failure || !request.body().is_whole() {
            return None;
        }
        let delay = self.delay(result)?;
        let budget = self.settings.budget.as_ref();
        if budget.is_some_and(|budget| !budget.withdraw()) {
            tracing::debug!("not retried: the retry budget is spent");
            return None;
        }
        self.retries = self.retries.saturating_add(1);
        tracing::debug!(retry = self.retries, ?delay, "request is sent again");
        Some(sleep(delay))
    }

    /// `None` is Tower's word for "this is the last attempt".
    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        if self.retries == 0
            && let Some(budget) = &self.settings.budget
        {
            budget.deposit();
        }
        let is_last = self.retries >= self.settings.max_retries;
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        if is_last || !(self.settings.is_idempotent)(method, uri, headers) {
            return None;
        }
        let mut copy = Request::new(request.body().replay()?);
        copy.method_mut().clone_from(method);
        copy.uri_mut().clone_from(uri);
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(headers);
        copy.extensions_mut().clone_from(request.extensions());
        Some(copy)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for RetryPolicy<C> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            classify: Arc::clone(&self.classify),
            retries: self.retries,
        }
    }
}

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_retries", &self.settings.max_retries)
            .field("backoff", &self.settings.backoff)
            .finish_non_exhaustive()
    }
}

/// Enough for jitter: a keyed hash of a number that is never the same twice.
fn next_random(keys: &RandomState) -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = keys.build_hasher();
    hasher.write_u64(NEXT.fetch_add(1, Ordering::Relaxed));
    hasher.finish()
}
