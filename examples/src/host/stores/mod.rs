//! Where tokens and grants are kept: in this process, or for all copies of the host on Redis.

use std::{fmt, sync::Arc, time::SystemTime};

use tower_plugin_auth::{
    InvalidConfig, MemoryStore,
    store::{CacheStats, CachedStore, MemoryGrantStore, RedisStore, SharedGrantStore, SharedStore},
};
use tower_plugin_core::Clock;

use super::{RedisConfig, options::TokenConfig};

mod census;

pub(super) use census::{Census, Health};

/// The stores, and what is known of what they hold.
pub(super) struct Stores {
    pub(super) tokens: SharedStore,
    pub(super) grants: SharedGrantStore,
    pub(super) kept: Kept,
}

/// Where what is kept can be counted.
pub(super) enum Kept {
    Here {
        tokens: Arc<MemoryStore>,
        grants: Arc<MemoryGrantStore>,
    },
    OnRedis {
        tokens: CachedStore<RedisStore>,
        census: Arc<Census>,
    },
}

/// On Redis, tokens are remembered for as long as it does not say otherwise: what another copy revokes is
/// refused here within [two seconds](tower_plugin_auth::store::CachedStoreBuilder::with_revocation_bound), and
/// without delay while the connection that tells of it is up. Grants are asked for each time.
pub(super) fn stores(
    redis: Option<&RedisConfig>,
    tokens: &TokenConfig,
    grants: usize,
    clock: &Arc<dyn Clock>,
) -> Result<Stores, InvalidConfig> {
    let Some(redis) = redis else {
        let tokens = Arc::new(MemoryStore::new(tokens.capacity)?);
        let grants = Arc::new(MemoryGrantStore::new(grants)?);
        return Ok(Stores {
            tokens: SharedStore::new(Arc::clone(&tokens)),
            grants: SharedGrantStore::new(Arc::clone(&grants)),
            kept: Kept::Here { tokens, grants },
        });
    };
    let capacity = u64::try_from(tokens.capacity).unwrap_or(u64::MAX);
    let store = RedisStore::builder(redis.url.expose())
        .with_prefix(PREFIX)
        .with_capacity(capacity)
        .build()?;
    let grants = store.grants();
    let census = Arc::new(Census::of(store.clone(), grants.clone()));
    let cache = CachedStore::builder().with_clock(Arc::clone(clock));
    let tokens = store.cached(cache)?;
    Ok(Stores {
        tokens: SharedStore::new(tokens.clone()),
        grants: SharedGrantStore::new(grants),
        kept: Kept::OnRedis { tokens, census },
    })
}

impl Kept {
    /// How many tokens are alive: of all copies, as of a second ago, if they are on Redis. `None` if nobody
    /// knows.
    pub(super) fn tokens_alive(&self, now: SystemTime) -> Option<u64> {
        match self {
            Self::Here { tokens, .. } => u64::try_from(tokens.len_live(now)).ok(),
            Self::OnRedis { census, .. } => census.counted().map(|counted| counted.tokens),
        }
    }

    /// The same of grants. In this process, expired ones that were not swept up yet are among them.
    pub(super) fn grants_alive(&self) -> Option<u64> {
        match self {
            Self::Here { grants, .. } => u64::try_from(grants.len()).ok(),
            Self::OnRedis { census, .. } => census.counted().map(|counted| counted.grants),
        }
    }

    /// How late a revocation may be heard of, where that is late at all.
    pub(super) fn cache(&self) -> Option<CacheStats> {
        match self {
            Self::Here { .. } => None,
            Self::OnRedis { tokens, .. } => Some(tokens.stats()),
        }
    }

    pub(super) fn census(&self) -> Option<&Arc<Census>> {
        match self {
            Self::Here { .. } => None,
            Self::OnRedis { census, .. } => Some(census),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here { .. } => "Here",
            Self::OnRedis { .. } => "OnRedis",
        })
    }
}

/// What the names of all keys begin with.
const PREFIX: &str = "plugin-host";
