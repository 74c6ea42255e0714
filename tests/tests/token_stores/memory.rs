//! The store in memory, by itself and with its type taken off.

use tower_plugin_auth::{MemoryStore, store::SharedStore};

crate::suite::conformance!(alone, |capacity| async move {
    (MemoryStore::new(capacity).unwrap(), ())
});

crate::suite::conformance!(shared, |capacity| async move {
    (SharedStore::new(MemoryStore::new(capacity).unwrap()), ())
});
