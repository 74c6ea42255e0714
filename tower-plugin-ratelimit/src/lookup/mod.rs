//! Finds out a caller's policy where that takes asking: a database of plans, say.
//!
//! [`PolicyLookupLayer`] goes outside of the rate limiting layer, which takes what it found with
//! [`PolicySource::found`](crate::PolicySource::found). Answers are cached for a while, and however many
//! requests of one caller come at once, one of them asks.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use tower::ServiceBuilder;
//! use tower_plugin_ratelimit::{
//!     Policy, PolicySource, Principal, RateLimitLayer, RequestHead, key, lookup::PolicyLookupLayer,
//! };
//!
//! # async fn plan_of(_: &str) -> Option<String> { None }
//! let free = Policy::new("free", ["1/s".parse()?])?;
//! let gold = Policy::new("gold", ["100/s".parse()?])?;
//! let lookup = PolicyLookupLayer::new(
//!     |request: &RequestHead<'_>| Some(request.extensions.get::<Principal>()?.subject().into()),
//!     move |subject| {
//!         let gold = gold.clone();
//!         async move {
//!             let plan = plan_of(&subject).await;
//!             Ok::<_, Infallible>((plan.as_deref() == Some("gold")).then_some(gold))
//!         }
//!     },
//!     Duration::from_secs(60),
//!     10_000,
//! )?;
//! let stack = ServiceBuilder::new()
//!     .layer(lookup)
//!     .layer(RateLimitLayer::new(PolicySource::found(free), key::Principal));
//! # let _ = stack;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failure modes
//!
//! A lookup that fails is told to the caller as 503 / `UNAVAILABLE` with `retry-after`, and is not
//! cached: closed. Give it a timeout of its own, and answer `Ok` with a policy for bad days where you
//! would rather go on. A caller without a cache key takes the policy that holds otherwise.

mod future;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::{InvalidLookup, PolicyLookupLayer};
pub use service::PolicyLookup;
