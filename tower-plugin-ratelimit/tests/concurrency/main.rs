//! The concurrency limit from outside.

mod contract;
mod limit;
mod race;
mod support;
#[cfg(feature = "wait")]
mod waiting;
