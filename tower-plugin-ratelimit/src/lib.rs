//! Rate limiting for any Tower service.

mod decision;
pub mod gcra;
pub mod key;
mod limiter;
mod memory;
mod policy;
mod quota;

pub use decision::{Decision, Verdict};
pub use limiter::{Answer, Limiter, Unavailable};
pub use memory::{InvalidCapacity, KeyHasher, MemoryLimiter, OnFull, Stats, Table};
pub use policy::{Cost, InvalidPolicy, Policy};
pub use quota::{InvalidQuota, InvalidQuotaKind, Quota};

/// How many cases a property test runs: many more where `PROPTEST_CASES` says so.
#[cfg(test)]
fn test_cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(default, |cases| cases.parse().unwrap())
}
