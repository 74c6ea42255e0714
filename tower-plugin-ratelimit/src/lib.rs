//! Rate limiting for any Tower service: never over the limit, in memory of a fixed size, and refused
//! callers are told in their own protocol.
//!
//! A request is
//!
//! 1. keyed by what the caller cannot choose: its network address, the principal that was
//!    authenticated, or what you say ([`key`]);
//! 2. charged to every quota of a [`Policy`], or to none if one of them is spent;
//! 3. passed on, or answered 429 with `retry-after`, `ratelimit-policy` and `ratelimit`; a gRPC caller
//!    gets `RESOURCE_EXHAUSTED` with `google.rpc.RetryInfo`, a Connect caller `resource_exhausted`.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_ratelimit::{Quota, RateLimitLayer, key};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota: Quota = "6/m:2".parse()?; // six a minute, two of them at once
//! let hello = service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//! });
//! let service = RateLimitLayer::new(quota, key::Global).layer(hello);
//!
//! for expected in [200, 200, 429] {
//!     let response = service.clone().oneshot(Request::default()).await?;
//!     assert_eq!(response.status(), expected);
//! }
//! let refused = service.oneshot(Request::default()).await?;
//! assert_eq!(refused.headers()["retry-after"], "10");
//! assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=10");
//! # Ok(())
//! # }
//! ```
//!
//! # What it can be told
//!
//! | to | say |
//! |---|---|
//! | allow 10 a second in bursts of 20 | `"10/s:20"`, [`Quota::per_second`] |
//! | never see more than 100 in any minute | `"<=100/m"`, [`Quota::at_most`] |
//! | count by UTC day, for billing | `"5000/utc-day"`, [`Quota::calendar`] |
//! | charge several quotas together | [`Policy::new`] |
//! | limit by plan, route or tenant | [`PolicySource::per_request`] |
//! | change a policy while running | [`LivePolicy`] |
//! | make some requests dearer | [`RateLimitLayer::with_cost`] |
//! | count only failed logins | [`RateLimitLayer::with_charge_after`] |
//! | give back what failed | [`RateLimitLayer::with_refund_if`] |
//! | try a policy out | [`Mode::Observe`] |
//! | be told before a limit is met | [`RateLimitLayer::with_threshold`] |
//! | check, peek, pay back or reset from code | [`MemoryLimiter::apply_key`] |
//!
//! With features, requests may also wait for their turn (`wait`), policies come from a database
//! (`lookup`), and many replicas enforce one limit (`redis`).
//!
//! # Where it goes
//!
//! Limit by client address outside the authenticating layer, so that guessing costs; limit by
//! principal inside it. The address comes from connect info: serve axum with
//! `into_make_service_with_connect_info::<SocketAddr>()` and feature `axum`, tonic with feature
//! `tonic`. Behind a proxy, name it ([`ClientIp::with_trusted_proxies`]): without that, everyone
//! shares the proxy's address, and forwarding headers are believed from nobody else.
//!
//! # Deployment caveats
//!
//! A limit in memory holds for one process: N replicas admit N times the quota, unless each takes its
//! part ([`Quota::per_replica`]). A restart forgets what was owed. Limits on Redis (feature and module
//! `redis`) hold for all replicas together.
//!
//! # Failure modes
//!
//! * A limiter in memory always decides; a limiter that cannot answers 503 / `UNAVAILABLE` with
//!   `retry-after`: closed, and not 429.
//! * A request without a key is refused with 500 / `INTERNAL`, and the log says once what is missing
//!   ([`OnMissingKey`]).
//! * A table full of debtors forgets who owes least and counts it ([`OnFull`], [`MemoryStats`]).
//! * A clock that is set back mints nothing; one set forward hands out what would have come back.
//!
//! # Features
//!
//! Name | Description | Default?
//! ---|---|---
//! `axum` | [`ClientIp`] reads axum's connect info, [`key::Route`] its matched path |
//! `client` | For callers: retry, throttle and circuit breaker (module `client`) |
//! `governor` | governor's quotas as ours, and its limiters on our memory (`GovernorStore`) |
//! `lookup` | A policy for each caller from an async lookup, cached (moka) |
//! `metrics` | Counts for the `metrics` facade; install its recorder before the first request |
//! `redis` | One limit for many replicas, on Redis or Valkey (module `redis`) |
//! `redis-cluster` | On a cluster |
//! `redis-sentinel` | On the primary that sentinels know |
//! `redis-tls` | `rediss://`, with rustls and the certificates of the operating system |
//! `tonic` | [`ClientIp`] reads tonic's TCP connect info |
//! `tonic-tls` | [`ClientIp`] reads tonic's TLS connect info too |
//! `wait` | Policies and [`concurrency`] may let requests wait (Tokio's timer) |

#![cfg_attr(docsrs, feature(doc_cfg))]
// The public API is documented and free to grow.
#![warn(
    missing_docs,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use
)]
// A request must not be able to panic the server.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod calendar;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub mod client;
pub mod concurrency;
mod decision;
pub mod gcra;
#[cfg(feature = "governor")]
mod governor;
pub mod key;
mod limit;
mod limiter;
#[cfg(feature = "lookup")]
#[cfg_attr(docsrs, doc(cfg(feature = "lookup")))]
pub mod lookup;
mod memory;
mod policy;
pub mod preset;
mod quota;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub mod redis;
mod rule;

#[cfg(feature = "governor")]
#[cfg_attr(docsrs, doc(cfg(feature = "governor")))]
pub use self::governor::GovernorStore;
pub use calendar::CalendarPeriod;
pub use decision::{Decision, Verdict};
pub use limit::{
    Counts, LegacyHeaders, LivePolicy, Mode, OnMissingKey, PolicySource, RateLimit,
    RateLimitHeaders, RateLimitLayer, ResponseFuture,
};
pub use limiter::{EitherFuture, EitherHasher, EitherLimiter, Limiter, Operation, Unavailable};
pub use memory::{InvalidCapacity, KeyHasher, MemoryLimiter, MemoryStats, OnFull, Table};
pub use policy::{Cost, InvalidPolicy, Policy};
pub use quota::{InvalidQuota, InvalidQuotaKind, Quota};
pub use rule::{Now, Rule};

pub use tower_plugin_core::{
    Answer, AnswerFuture, ClientIp, Clock, Code, ForwardedHeader, InvalidClientIp, IpNet,
    ManualClock, PeerAddr, Principal, Rejection, RequestHead, ResponseBody, SystemClock,
};

// Its second example needs the feature.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// How many cases a property test runs: many more where `PROPTEST_CASES` says so.
#[cfg(test)]
fn test_cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").map_or(default, |cases| cases.parse().unwrap())
}
