//! Lets through to a capability only who has been granted it.
//!
//! [`CapabilityLayer`] stands in front of what is granted and asks the [`CapabilityBroker`](crate::CapabilityBroker)
//! that has issued the grants. What it takes from a request, nothing further in sees: not the token, and not the
//! address at which the token was presented.

mod future;
mod gate;
mod layer;
mod route;
mod service;

pub use future::ResponseFuture;
pub use layer::CapabilityLayer;
pub use service::CapabilityGuard;
