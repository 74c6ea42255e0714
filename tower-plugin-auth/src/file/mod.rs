//! Files that are their owner's alone, and the keys that encrypt them.

#[cfg(any(feature = "audit-file", feature = "encrypted-file"))]
mod keys;
#[cfg(any(feature = "audit-file", feature = "encrypted-file"))]
mod owned;
mod regular;

#[cfg(any(feature = "audit-file", feature = "encrypted-file"))]
pub use keys::{FileKey, FileKeyRing, InvalidFileKey};
#[cfg(feature = "encrypted-file")]
pub(crate) use owned::replace;
#[cfg(any(feature = "audit-file", feature = "encrypted-file"))]
pub(crate) use owned::{Denied, beside, lock, open};
#[cfg(feature = "audit-file")]
pub(crate) use owned::{read, swap, sync_parent};
#[cfg(feature = "manifest")]
pub(crate) use regular::{Links, is_private_to, open_regular};
