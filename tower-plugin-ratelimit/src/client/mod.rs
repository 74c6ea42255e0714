//! For callers: send again what may be sent again, wait rather than be refused, and leave a service
//! alone that fails.
//!
//! Three layers, each of use alone; together they go in this order, the first outermost:
//!
//! 1. [`RetryLayer`] with a [`RetryPolicy`] sends a request again whose service could not answer. So
//!    every retry passes the layers below.
//! 2. [`ThrottleLayer`] holds requests back to a rate, and to less as the server's `RateLimit` says that
//!    little is left.
//! 3. [`CircuitBreakerLayer`] stops calling a service that fails, and finds out when it is back.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_plugin_ratelimit::client::{
//!     CircuitBreakerLayer, RetryLayer, RetryPolicy, ThrottleLayer,
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A server that is busy the first time. In its place: hyper-util's client, reqwest, a channel.
//! let attempts = std::sync::atomic::AtomicU32::new(0);
//! let server = service_fn(|_: Request<Full<Bytes>>| {
//!     let attempt = attempts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
//!     let response = match attempt {
//!         0 => Response::builder().status(503).header("retry-after", "2"),
//!         _ => Response::builder().status(200),
//!     };
//!     std::future::ready(response.body(Full::new(Bytes::new())))
//! });
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::new()))
//!     .layer(ThrottleLayer::new("20/s:5".parse()?))
//!     .layer(CircuitBreakerLayer::default())
//!     .service(server);
//!
//! let response = client.oneshot(Request::default()).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(attempts.load(std::sync::atomic::Ordering::SeqCst), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What is retried
//!
//! A request is sent again if all of this holds; else its answer stands as it is.
//!
//! * It may arrive twice: its method is idempotent, or you say so
//!   ([`RetryPolicy::with_idempotent`]). gRPC and Connect calls are POST, so you have to.
//! * Its body can be sent again ([`Replay`]): `Full` and `Empty` can, others are wrapped in
//!   [`ReplayBody`].
//! * The answer is a failure by [`ByStatus`], or by a closure of yours. gRPC codes are seen in the head
//!   of the response, where a server puts them that refuses without a message; not in trailers, which
//!   come after the response was handed on.
//! * The server does not ask to stay away for longer than the [`Backoff`]'s maximum. It asks by
//!   `Retry-After`, in seconds or with a date (RFC 9110 section 10.2.3), or by
//!   `grpc-retry-pushback-ms` (gRFC A6), and is obeyed: jitter only ever adds to it.
//! * Retries and budget are left ([`RetryPolicy::with_budget`]).
//!
//! Nothing is retried after cancellation: a future that is dropped takes its retries along. So put a
//! `tower::timeout` outside to bound a request with all its retries, inside to bound each attempt.
//!
//! # Failure modes
//!
//! * What a layer refuses itself is a response, like everywhere in this crate; `Service::Error` stays
//!   what it is, and the [`Rejection`](crate::Rejection) is in the response's extensions. An open
//!   circuit is 503 / `UNAVAILABLE`, a full line 429 / `RESOURCE_EXHAUSTED`, both with `Retry-After`;
//!   a retry layer outside heeds it.
//! * A server that asks the impossible is not believed for longer than an hour, and a malformed
//!   `RateLimit` or `Retry-After` is ignored.
//! * A call that is dropped says nothing about the service; one that panics is a failure to the
//!   circuit breaker.
//! * A probe that hangs does not keep a circuit half open ([`Circuit::allow_probes`]).
//!
//! Waiting takes Tokio's timer: outside a Tokio runtime with its time driver, `tokio::time::sleep`
//! panics.

pub mod breaker;
mod outcome;
pub mod retry;
mod retry_after;
pub mod throttle;

pub use breaker::{Change, Circuit, CircuitBreaker, CircuitBreakerLayer, Phase};
pub use outcome::{ByStatus, Classify, Head, Outcome};
pub use retry::{Backoff, InvalidBackoff, Replay, ReplayBody, ReplayError, RetryPolicy};
pub use throttle::{Throttle, ThrottleLayer};

pub use tower::retry::{
    Retry, RetryLayer,
    budget::{Budget, TpsBudget},
};
