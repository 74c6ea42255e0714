//! A guard on the bodies of requests: how long they say they are, how long they turn out to be, how long each
//! message in a stream is going to be, and what comes after.
//!
//! [`BodyGuardLayer`] refuses, in this order:
//!
//! 1. A request whose head announces more than is allowed, before the inner service is called.
//! 2. A stream (gRPC, gRPC-Web, Connect) at the five bytes before a message that is too long: before the message
//!    arrives, let alone is buffered.
//! 3. A body at the frame that makes it too long, whatever it announced.
//! 4. Trailers that are too many or too large.
//!
//! Nothing is buffered or copied, frames and trailers pass as they come, and the size hint stays what it was.
//!
//! In cases 2 to 4 the handler is already at work. Its body ends in a [`BodyRefused`], and whatever it makes of
//! that (axum's extractors answer 400, tonic `UNKNOWN`), the caller is told what was wrong, in its own protocol:
//! the layer replaces the response, or the error of a service that fails because its body did. Once
//! the head of a response is on its way that is no longer possible; with the `tonic` feature a tonic handler then
//! finds a `RESOURCE_EXHAUSTED` status in its stream, which it returns with `?`.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_validate::body::{BodyGuardLayer, BodyLimits, GuardedBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limits = BodyLimits::http().to_builder().body_bytes(4).build()?;
//! let read = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async {
//!     let body = request.into_body().collect().await?.to_bytes();
//!     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Response::new(Full::new(body)))
//! });
//! let service = BodyGuardLayer::new(limits).layer(read);
//!
//! let fits = Request::new(Full::from("four"));
//! assert_eq!(service.clone().oneshot(fits).await.unwrap().status(), 200);
//! let too_long = Request::new(Full::from("fifth"));
//! assert_eq!(service.oneshot(too_long).await.unwrap().status(), 413);
//! # Ok(())
//! # }
//! ```
//!
//! # In a stack
//!
//! The guard counts what passes it. **Outside** a decompressing layer it bounds what comes over the network,
//! **inside** one (as in `RequestDecompressionLayer`, `BodyGuardLayer`, handler) what a bomb unfolds to; a service that
//! decompresses wants both, with limits of their own. Messages that gRPC or Connect compress one by one are counted as
//! they are on the wire: bound what they unfold to in the server (tonic's `max_decoding_message_size` does).
//!
//! In `application/grpc-web-text` the prefixes are hidden by base64. Such a body is held to
//! [`body_bytes`](BodyLimitsBuilder::body_bytes); a guard inside the layer that decodes it sees the messages.

pub mod envelope;
mod future;
mod guard;
mod layer;
mod limits;
mod refused;
mod service;

pub use future::ResponseFuture;
pub use guard::GuardedBody;
pub use layer::BodyGuardLayer;
pub use limits::{BodyLimit, BodyLimits, BodyLimitsBuilder};
pub use refused::BodyRefused;
pub use service::BodyGuard;
