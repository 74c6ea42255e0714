//! Rate limiting in one process.

mod bucket;
mod limiter;
#[cfg(feature = "governor")]
mod state;
mod table;

#[cfg(feature = "governor")]
pub(crate) use limiter::slots_for;
pub use limiter::{InvalidCapacity, KeyHasher, MemoryLimiter, MemoryStats};
pub use table::{OnFull, Table};
