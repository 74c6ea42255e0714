//! Files that are their owner's alone, and the keys that encrypt them.

mod keys;
mod owned;

pub use keys::{FileKey, FileKeyRing, InvalidFileKey};
pub(crate) use owned::{Denied, beside, lock, open, replace};
#[cfg(feature = "audit-file")]
pub(crate) use owned::{read, sync_parent};
