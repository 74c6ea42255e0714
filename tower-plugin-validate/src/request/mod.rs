//! The layer that checks the head of a request: limits, framing, path and metadata, in this order.

mod canonical;
mod check;
mod closer;
mod findings;
mod future;
mod glance;
mod layer;
mod live;
mod mode;
mod route;
mod rules;
mod service;
mod typed;

pub use canonical::CanonicalPath;
pub use future::ResponseFuture;
pub use layer::ValidateLayer;
pub use live::{Counts, LiveRules};
pub use mode::{Mode, Observed, Part};
pub use route::{InvalidRoute, Route, RouteRules};
pub use rules::RuleSet;
pub use service::Validate;
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use typed::InvalidType;
pub use typed::{Metadata, TypedMetadata};
