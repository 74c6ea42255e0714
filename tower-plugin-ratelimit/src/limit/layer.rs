use std::sync::Arc;

use tower_layer::Layer;

use super::{OnMissingKey, RateLimit, RateLimitHeaders, settings::Settings};
use crate::{Limiter, MemoryLimiter, Policy, key::Key};

/// Refuses requests over their quota.
///
/// All services made by a layer and its clones share one state, also where a server builds a service
/// for each connection. See the [crate docs](crate) for an example.
#[derive(Debug)]
#[must_use]
pub struct RateLimitLayer<K, L = MemoryLimiter> {
    limiter: L,
    key: K,
    settings: Arc<Settings>,
}

impl<K: Key> RateLimitLayer<K> {
    /// Limits by `policy` whatever shares a `key`, in this process' memory, for up to 65,536 keys at
    /// a time in 2.5 MB.
    ///
    /// Build it outside the closure that makes a service per connection. For more keys, or one
    /// limiter under several layers, see [`with_limiter`](Self::with_limiter).
    pub fn new(policy: impl Into<Policy>, key: K) -> Self {
        Self::with_limiter(MemoryLimiter::default(), policy, key)
    }
}

impl<K: Key, L: Limiter> RateLimitLayer<K, L> {
    /// Limits by `policy` whatever shares a `key`, and keeps what was spent in `limiter`.
    pub fn with_limiter(limiter: L, policy: impl Into<Policy>, key: K) -> Self {
        Self {
            limiter,
            key,
            settings: Arc::new(Settings::new(policy.into())),
        }
    }

    /// Chooses which responses carry `RateLimit-Policy` and `RateLimit`; refusals by default.
    pub fn with_headers(self, headers: RateLimitHeaders) -> Self {
        self.with_settings(|settings| settings.headers = headers)
    }

    /// Chooses what becomes of requests without a key; they are refused by default.
    pub fn with_missing_key(self, on_missing_key: OnMissingKey) -> Self {
        self.with_settings(|settings| settings.on_missing_key = on_missing_key)
    }

    /// Options come before services; a clone that is configured further goes its own way but keeps
    /// the state.
    fn with_settings(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(self.settings.policy.clone());
        settings.headers = self.settings.headers;
        settings.on_missing_key = self.settings.on_missing_key;
        set(&mut settings);
        self.settings = Arc::new(settings);
        self
    }
}

impl<K: Clone, L: Clone> Clone for RateLimitLayer<K, L> {
    fn clone(&self) -> Self {
        Self {
            limiter: self.limiter.clone(),
            key: self.key.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S, K: Clone, L: Clone> Layer<S> for RateLimitLayer<K, L> {
    type Service = RateLimit<S, K, L>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(
            inner,
            self.limiter.clone(),
            self.key.clone(),
            Arc::clone(&self.settings),
        )
    }
}
