//! The store in Redis, with and without a cache in front of it.

use tower_plugin_auth::store::{CachedStore, RedisStore};
use tower_plugin_tests::redis::RedisServer;

crate::suite::conformance!(alone, |capacity: usize| async move {
    let server = RedisServer::start().await;
    (store(&server.url(), capacity), server)
});

crate::suite::conformance!(cached, |capacity: usize| async move {
    let server = RedisServer::start().await;
    let store = store(&server.url(), capacity);
    (store.cached(CachedStore::builder()).unwrap(), server)
});

pub(crate) fn store(url: &str, capacity: usize) -> RedisStore {
    RedisStore::builder(url)
        .with_capacity(u64::try_from(capacity).unwrap())
        // A machine that is busy with other tests is no server that is down.
        .with_deadline(std::time::Duration::from_secs(20))
        .build()
        .unwrap()
}

mod news;
mod records;
mod trouble;
