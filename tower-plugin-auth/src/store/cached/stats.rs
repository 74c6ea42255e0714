use std::time::Duration;

/// The figures of a [`CachedStore`](super::CachedStore), since it was built.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups answered from what is remembered.
    pub hits: u64,
    /// Lookups for which the store was asked, or for whose answer others were waiting already.
    pub misses: u64,
    /// Records forgotten because they have changed.
    pub forgotten: u64,
    /// How often everything was forgotten.
    pub flushes: u64,
    /// Whether news of changes arrive.
    pub is_live: bool,
    /// The longest that a token is accepted after it was revoked, anywhere.
    pub revocation_bound: Duration,
    /// The longest that a token accepted *now* can have been revoked for: the age of the last proof that no news
    /// were missed, or the degraded age while none arrive. It never exceeds the bound.
    pub revocation_lag: Duration,
}

#[cfg(feature = "metrics")]
impl CacheStats {
    /// Sets counters and gauges of the `metrics` facade, labelled with the store's name: call it when they are
    /// about to be read.
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record(&self, store: &'static str) {
        for (name, count) in [
            ("tower_plugin_auth_cache_hits_total", self.hits),
            ("tower_plugin_auth_cache_misses_total", self.misses),
            ("tower_plugin_auth_cache_forgotten_total", self.forgotten),
            ("tower_plugin_auth_cache_flushes_total", self.flushes),
        ] {
            metrics::counter!(name, "store" => store).absolute(count);
        }
        let set = |name: &'static str, value: f64| {
            metrics::gauge!(name, "store" => store).set(value);
        };
        set(
            "tower_plugin_auth_cache_live",
            f64::from(u8::from(self.is_live)),
        );
        set(
            "tower_plugin_auth_revocation_bound_seconds",
            self.revocation_bound.as_secs_f64(),
        );
        set(
            "tower_plugin_auth_revocation_lag_seconds",
            self.revocation_lag.as_secs_f64(),
        );
    }
}
