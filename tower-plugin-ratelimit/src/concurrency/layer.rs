use std::sync::Arc;

use tower_layer::Layer;

use super::{Concurrency, ConcurrencyLimit, ConcurrencyLimiter, settings::Settings};
use crate::{OnMissingKey, key::Key};

/// Limits how many requests of a key are in flight at once.
///
/// All services made by a layer and its clones share one count, also where a server builds a service
/// for each connection. See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConcurrencyLimitLayer<K> {
    limiter: ConcurrencyLimiter,
    key: K,
    settings: Arc<Settings>,
}

impl<K: Key> ConcurrencyLimitLayer<K> {
    /// Limits by `limit` whatever shares a `key`.
    ///
    /// Build it outside the closure that makes a service per connection.
    pub fn new(limit: Concurrency, key: K) -> Self {
        Self::with_limiter(ConcurrencyLimiter::new(limit), key)
    }

    /// Limits whatever shares a `key`, together with everything else that `limiter` counts.
    pub fn with_limiter(limiter: ConcurrencyLimiter, key: K) -> Self {
        let settings = Arc::new(Settings::new(limiter.limit(), OnMissingKey::default()));
        Self {
            limiter,
            key,
            settings,
        }
    }

    /// Chooses what becomes of requests without a key; they are refused by default.
    pub fn with_on_missing_key(mut self, on_missing_key: OnMissingKey) -> Self {
        self.settings = Arc::new(Settings::new(self.limiter.limit(), on_missing_key));
        self
    }

    /// What counts the requests of this layer.
    #[must_use]
    pub const fn limiter(&self) -> &ConcurrencyLimiter {
        &self.limiter
    }
}

impl<S, K: Clone> Layer<S> for ConcurrencyLimitLayer<K> {
    type Service = ConcurrencyLimit<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyLimit::new(
            inner,
            self.limiter.clone(),
            self.key.clone(),
            Arc::clone(&self.settings),
        )
    }
}
