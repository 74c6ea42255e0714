//! Sends again what may be sent again, when and as often as the server can bear it.
//!
//! See the [module docs](super) for an example and for what is retried.

pub mod backoff;
mod policy;
mod replay;

pub use backoff::{Backoff, InvalidBackoff};
pub use policy::RetryPolicy;
pub use replay::{Replay, ReplayBody, ReplayError};
