use std::sync::Arc;

use bytes::Bytes;
use http::{Response, response};
use tower_layer::Layer;
use tower_plugin_core::{Rejection, RequestHead};

use super::{
    Counts, LegacyHeaders, Mode, OnMissingKey, PolicySource, RateLimit, RateLimitHeaders,
    service::Shared,
    settings::{Charging, Settings, Threshold},
};
use crate::{Cost, Decision, Limiter, MemoryLimiter, Policy, key::Key};

/// Refuses requests over their quota, or lets them wait.
///
/// All services made by a layer and its clones share one state, also where a server builds a service
/// for each connection. See the [crate docs](crate) for an example.
#[derive(Debug)]
#[must_use]
pub struct RateLimitLayer<K, L = MemoryLimiter> {
    shared: Arc<Shared<K, L>>,
}

impl<K: Key> RateLimitLayer<K> {
    /// Limits whatever shares a `key`, in this process' memory, for up to 65,536 keys at a time in
    /// 2.5 MB.
    ///
    /// `policy` is a [`Quota`](crate::Quota), a [`Policy`], a [`LivePolicy`](crate::LivePolicy) or a
    /// [`PolicySource`]. Build the layer outside the closure that makes a service per connection. For
    /// more keys, or one limiter under several layers, see [`with_limiter`](Self::with_limiter).
    pub fn new(policy: impl Into<PolicySource>, key: K) -> Self {
        Self::with_limiter(MemoryLimiter::default(), policy, key)
    }
}

impl<K: Key, L: Limiter> RateLimitLayer<K, L> {
    /// Limits whatever shares a `key`, and keeps what was spent in `limiter`.
    pub fn with_limiter(limiter: L, policy: impl Into<PolicySource>, key: K) -> Self {
        let settings = Arc::new(Settings::new(policy.into()));
        Self {
            shared: Arc::new(Shared {
                limiter,
                key,
                settings,
            }),
        }
    }

    /// How often this layer and its clones decided what.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.settings.account.counters.read()
    }

    /// Where what was spent is kept.
    #[must_use]
    pub fn limiter(&self) -> &L {
        &self.shared.limiter
    }
}

impl<K: Key + Clone, L: Limiter + Clone> RateLimitLayer<K, L> {
    /// Limits only requests for which this is true.
    pub fn with_filter<F>(self, applies: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    {
        self.set(|settings| settings.filter = Some(Arc::new(applies)))
    }

    /// Says what a request costs; 1 by default.
    pub fn with_cost<F>(self, cost: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Cost + Send + Sync + 'static,
    {
        self.set(|settings| settings.cost = Some(Arc::new(cost)))
    }

    /// Pays a request back if its response is like this.
    ///
    /// The cost is debited when the request comes, so the quota is never exceeded; requests that are
    /// still being served count. A refund is worth what the cost was, less what has drained since. A
    /// request that fails without a response, or whose caller goes away, is not paid back.
    pub fn with_refund_if<F>(self, outcome: F) -> Self
    where
        F: Fn(&response::Parts) -> bool + Send + Sync + 'static,
    {
        self.set(|settings| settings.charging = Charging::RefundIf(Arc::new(outcome)))
    }

    /// Charges a request when its response is there, and only if it is like this: count 401s, say, to
    /// stop guessing.
    ///
    /// Requests that are still being served do not count, so as many as the inner service serves at
    /// once get through beyond the quota. Where that is too many, see
    /// [`with_refund_if`](Self::with_refund_if) or limit concurrency. Of a gRPC response the head is
    /// judged: `grpc-status` is there if the call failed before it said anything.
    pub fn with_charge_after<F>(self, outcome: F) -> Self
    where
        F: Fn(&response::Parts) -> bool + Send + Sync + 'static,
    {
        self.set(|settings| settings.charging = Charging::AfterIf(Arc::new(outcome)))
    }

    /// Chooses whether requests over their quota are refused, or only reported.
    pub fn with_mode(self, mode: Mode) -> Self {
        self.set(|settings| settings.mode = mode)
    }

    /// Sets how many requests may wait at a time, where the policy lets them wait; 1,024 by default.
    /// Beyond that they are refused.
    pub fn with_max_waiting(self, requests: usize) -> Self {
        self.set(|settings| settings.max_waiting = requests)
    }

    /// Chooses which responses carry `RateLimit-Policy` and `RateLimit`; refusals by default.
    pub fn with_headers(self, headers: RateLimitHeaders) -> Self {
        self.set(|settings| settings.headers = headers)
    }

    /// Adds older headers beside those; none by default.
    pub fn with_legacy_headers(self, legacy: LegacyHeaders) -> Self {
        self.set(|settings| settings.legacy = legacy)
    }

    /// Chooses what becomes of requests without a key; they are refused by default.
    pub fn with_on_missing_key(self, on_missing_key: OnMissingKey) -> Self {
        self.set(|settings| settings.on_missing_key = on_missing_key)
    }

    /// Gives refusals another body for plain HTTP callers, with its `content-type`; status and headers
    /// stay. gRPC and Connect callers get what their protocols prescribe.
    pub fn with_body<F>(self, body: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.set(|settings| settings.body = Some(Arc::new(body)))
    }

    /// Calls `report` for each request that leaves a key with `percent` or more of a quota used, and
    /// for each that is denied.
    ///
    /// It runs on the request's way: hand on what takes long.
    pub fn with_threshold<F>(self, percent: u8, report: F) -> Self
    where
        F: Fn(&Policy, &Decision) + Send + Sync + 'static,
    {
        let report = Arc::new(report);
        self.set(|settings| settings.threshold = Some(Threshold { percent, report }))
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        set(Arc::make_mut(&mut shared.settings));
        self
    }
}

impl<K, L> Clone for RateLimitLayer<K, L> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, K, L> Layer<S> for RateLimitLayer<K, L> {
    type Service = RateLimit<S, K, L>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.shared))
    }
}
