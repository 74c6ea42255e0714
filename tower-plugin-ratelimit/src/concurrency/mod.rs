//! How many requests may be in flight at once, for each key.
//!
//! A rate says how often; it does not help where a few slow requests hold everything up. This layer gives
//! each key so many permits. A request holds one until its response *body* has ended or was dropped, so a
//! stream counts for as long as it runs; also when the inner service fails, or the caller goes away.
//!
//! Without a permit a request is answered 429 / `RESOURCE_EXHAUSTED`, reason `CONCURRENCY_LIMITED`, at
//! once; or, with feature `wait`, after [waiting in line](Concurrency::with_queue), first come, first
//! served.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_ratelimit::{
//!     concurrency::{Concurrency, ConcurrencyLimitLayer},
//!     key,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let download = service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("a large file"))))
//! });
//! let two_at_once = Concurrency::per_key(2)?.with_name("downloads")?;
//! let service = ConcurrencyLimitLayer::new(two_at_once, key::Global).layer(download);
//!
//! let first = service.clone().oneshot(Request::default()).await?;
//! let second = service.clone().oneshot(Request::default()).await?;
//! let third = service.clone().oneshot(Request::default()).await?;
//! assert_eq!(third.status(), 429);
//! assert_eq!(
//!     third.headers()["ratelimit-policy"],
//!     r#""downloads";q=2;qu="concurrent-requests""#,
//! );
//!
//! // One of them is read to its end, the other given up.
//! assert_eq!(first.into_body().collect().await?.to_bytes(), "a large file");
//! drop(second);
//! assert_eq!(service.oneshot(Request::default()).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Where it goes
//!
//! Inside the rate limits, which are cheaper to refuse by, and directly around what is slow. What a
//! handler hands over to a task of its own, and a connection that was upgraded, is not seen: hold a
//! [`Permit`] there.
//!
//! # Failure modes
//!
//! * The limit holds for one process: N replicas admit N times as many.
//! * A client that reads slowly, or not at all, keeps its permit: put a timeout on bodies.
//! * A request without a key is refused with 500 ([`OnMissingKey`](crate::OnMissingKey)).
//! * Memory is one entry for each key that has something in flight, and one for each request that
//!   waits. [`Concurrency::with_total`] bounds both: beyond it 503 / `UNAVAILABLE`, reason `OVERLOADED`.
//! * Two keys with the same 64 bits of a keyed hash share their permits.

mod body;
mod future;
mod layer;
mod limit;
mod limiter;
mod line;
mod service;
mod settings;

pub use body::PermitBody;
pub use future::ResponseFuture;
pub use layer::ConcurrencyLimitLayer;
pub use limit::{Concurrency, InvalidConcurrency};
pub use limiter::{ConcurrencyLimiter, ConcurrencyStats, Permit};
pub use service::ConcurrencyLimit;
