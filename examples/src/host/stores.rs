//! Where tokens and grants are kept: in this process, or for all copies of the host on Redis.

use std::sync::Arc;

use tower_plugin_auth::{
    InvalidConfig, MemoryStore,
    store::{CachedStore, MemoryGrantStore, RedisStore, SharedGrantStore, SharedStore},
};
use tower_plugin_core::Clock;

use super::{RedisConfig, options::TokenConfig};

/// The tokens, and the store behind them where that is this process.
pub(super) type TokenStores = (SharedStore, Option<Arc<MemoryStore>>);
/// The grants, likewise.
pub(super) type GrantStores = (SharedGrantStore, Option<Arc<MemoryGrantStore>>);

/// On Redis, tokens are remembered for as long as it does not say otherwise: what another copy revokes is
/// refused here within [two seconds](tower_plugin_auth::store::CachedStoreBuilder::with_revocation_bound), and
/// without delay while the connection that tells of it is up. Grants are asked for each time.
pub(super) fn stores(
    redis: Option<&RedisConfig>,
    tokens: &TokenConfig,
    grants: usize,
    clock: &Arc<dyn Clock>,
) -> Result<(TokenStores, GrantStores), InvalidConfig> {
    let Some(redis) = redis else {
        let tokens = Arc::new(MemoryStore::new(tokens.capacity)?);
        let grants = Arc::new(MemoryGrantStore::new(grants)?);
        return Ok((
            (SharedStore::new(Arc::clone(&tokens)), Some(tokens)),
            (SharedGrantStore::new(Arc::clone(&grants)), Some(grants)),
        ));
    };
    let capacity = u64::try_from(tokens.capacity).unwrap_or(u64::MAX);
    let store = RedisStore::builder(redis.url.expose())
        .with_prefix(PREFIX)
        .with_capacity(capacity)
        .build()?;
    let grants = SharedGrantStore::new(store.grants());
    let cache = CachedStore::builder().with_clock(Arc::clone(clock));
    let tokens = SharedStore::new(store.cached(cache)?);
    Ok(((tokens, None), (grants, None)))
}

/// What the names of all keys begin with.
const PREFIX: &str = "plugin-host";
