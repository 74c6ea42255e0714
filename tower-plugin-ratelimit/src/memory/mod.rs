//! Rate limiting in one process.

mod bucket;
mod limiter;
mod table;

pub use limiter::{InvalidCapacity, KeyHasher, MemoryLimiter, Stats};
pub use table::{OnFull, Table};
