//! Tells a caller that his token is about to expire.

mod future;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::RefreshHintLayer;
pub use service::RefreshHint;

use http::HeaderName;

/// The header that says in how many whole seconds the caller's token expires, at least 1.
pub const EXPIRES_IN: HeaderName = HeaderName::from_static("x-plugin-token-expires-in");

#[cfg(test)]
mod tests;
