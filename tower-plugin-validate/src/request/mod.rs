//! The layer that checks the head of a request: limits, framing and path, in this order.

mod canonical;
mod check;
mod future;
mod layer;
mod rules;
mod service;

pub use canonical::CanonicalPath;
pub use future::ResponseFuture;
pub use layer::ValidateLayer;
pub use rules::RuleSet;
pub use service::Validate;
