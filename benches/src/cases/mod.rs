//! What is compared. A side is set up with quotas that admit everything, unless refusing is the point.

use crate::runner::Case;

mod layer;
mod memory;

/// Every case.
pub fn all() -> Vec<Case> {
    [memory::cases(), layer::cases()]
        .into_iter()
        .flatten()
        .collect()
}
