//! Lets through only who is known, and only what he may do.

mod future;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::RequireLayer;
pub use service::Require;
