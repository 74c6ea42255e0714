//! The server-side layer. See the [crate docs](crate) for an example.

mod future;
mod headers;
mod layer;
mod service;
mod settings;

pub use future::ResponseFuture;
pub use headers::RateLimitHeaders;
pub use layer::RateLimitLayer;
pub use service::RateLimit;
pub use settings::OnMissingKey;
