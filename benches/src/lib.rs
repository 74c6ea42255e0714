//! Ours against the peers, in one run.
//!
//! Every case is registered once, in [`cases::all`]. Both sides do the same work through their public
//! APIs; the runner interleaves them in slices, so that whatever else the machine does falls on
//! both.

pub mod cases;
pub mod dudect;
pub mod http1;
pub mod load;
pub mod plot;
pub mod report;
pub mod runner;
pub mod stack;
