#![allow(missing_docs)]
mod answer;
mod config;
mod header;
mod random;
pub mod store;
pub mod token;
mod tokens;
pub use answer::*;
pub use config::InvalidConfig;
pub use random::SystemRng;
pub use store::MemoryStore;
pub use tokens::*;
pub use tower_plugin_core::*;
