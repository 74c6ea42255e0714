//! What leaves the server when something went wrong inside it: nothing that was not meant to.
//!
//! An error's own words hold paths, queries, addresses and tokens. [`SanitizeErrorsLayer`] replaces them by a
//! public sentence with a reference, and logs them under the same reference, once, at `error`.
//!
//! | What leaves | What is replaced |
//! |---|---|
//! | a response with a 5xx status | the body, by problem details or what the protocol of the caller prescribes |
//! | gRPC with `UNKNOWN` (2), `INTERNAL` (13), `DATA_LOSS` (15), or a status that is none | message and details, in the head or the trailers |
//! | gRPC-Web, in binary | the same, in the frame of trailers |
//! | Connect, `unknown`, `internal` or `data_loss` | message and details, in the JSON of a unary call or the end of a stream |
//!
//! Trailers of gRPC-Web and Connect streams, where neither tells how a call ended, are looked at like those of gRPC.
//!
//! Other responses pass as they are, streaming, at no allocation. So do refusals by layers of this family, which are public
//! by construction ([`Rejection`](crate::Rejection) in the extensions), and whatever carries a [`PublicError`].
//! From every response the headers that tell what it was made with are taken (`server`, `x-powered-by` and their like).
//!
//! The reference is the [`RequestId`] among the request's extensions, else its `x-request-id` if that is one, else a
//! random one.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_validate::SanitizeErrorsLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broken = service_fn(|_: Request<()>| async {
//!     let body = Full::<Bytes>::from("cannot open /srv/app/users.db");
//!     Response::builder().status(500).header("server", "app/1.2.3").body(body)
//! });
//! let service = SanitizeErrorsLayer::new().layer(broken);
//!
//! let request = Request::get("/users").header("x-request-id", "7b0a9a3e").body(())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 500);
//! assert!(!response.headers().contains_key("server"));
//! let body = response.into_body().collect().await?.to_bytes();
//! assert!(body.starts_with(b"{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500"));
//! assert!(String::from_utf8_lossy(&body).contains("reference 7b0a9a3e"));
//! # Ok(())
//! # }
//! ```
//!
//! # In a stack
//!
//! Outermost, but inside the layer that sets `x-request-id`, and inside a layer that compresses: what is compressed
//! cannot be read. For that reason a request for a Connect stream loses its `connect-accept-encoding` here (the message that
//! ends such a stream, which holds the error, would be compressed like the others); and the text form of gRPC-Web
//! (`application/grpc-web-text`) has to be made by a layer outside this one, or the trailers in its base64 pass.
//!
//! # Failure modes
//!
//! Closed: an end of stream that cannot be read (compressed, malformed, larger than 64 KiB) is replaced as an internal error would
//! be. Of a body that is replaced no more is read after 64 KiB or 1024 frames, and only what is there at once; at most 4 KiB are
//! logged.

mod body;
mod connect;
mod context;
mod future;
mod grpc;
mod json;
mod layer;
mod request_id;
mod scrub;
mod service;
mod tail;

pub use body::SanitizedBody;
pub use future::ResponseFuture;
pub use layer::{PublicError, SanitizeErrorsLayer};
pub use request_id::RequestId;
pub use service::SanitizeErrors;
