//! The concurrency limit from outside.

mod contract;
mod limit;
mod race;
mod waiting;
