//! Waits before a call, so that the server need not refuse it.
//!
//! See the [module docs](super) for an example and for what slows it down.

mod future;
mod headroom;
mod layer;
mod line;
pub mod pacer;
mod service;

pub use future::ResponseFuture;
pub use layer::ThrottleLayer;
pub use pacer::{Headroom, Pace, Pacer, Verdict};
pub use service::Throttle;
