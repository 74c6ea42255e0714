//! The server-side layer. See the [crate docs](crate) for an example.

mod counters;
mod future;
pub(crate) mod headers;
mod layer;
mod refusal;
mod service;
mod settings;
mod source;
mod ticket;
mod waiting;

pub use counters::Counts;
#[cfg(feature = "metrics")]
pub(crate) use counters::EventCounters;
pub use future::ResponseFuture;
pub use headers::{LegacyHeaders, RateLimitHeaders};
pub use layer::RateLimitLayer;
pub use service::RateLimit;
pub use settings::{Mode, OnMissingKey};
#[cfg(feature = "lookup")]
pub(crate) use source::Found;
pub use source::{LivePolicy, PolicySource};
