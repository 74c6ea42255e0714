//! Checks the head of every request before anything reads it: its size, its framing, its path and
//! its metadata. A refused caller is answered in its own protocol (plain HTTP, gRPC, gRPC-Web or Connect).
//!
//! [`ValidateLayer`] decides in this order, in one pass:
//!
//! 1. **Limits.** Too many or too large header fields are refused with 431 / `RESOURCE_EXHAUSTED`, a
//!    long target with 414 / `INVALID_ARGUMENT`, a large declared body with 413 /
//!    `RESOURCE_EXHAUSTED`. See [`limits`].
//! 2. **Framing.** A head that two programs could read differently is refused with 400 /
//!    `INVALID_ARGUMENT`: repeated single-valued fields, two body lengths, a `host` that is missing,
//!    impossible or not the authority, fields about the connection on HTTP/2, control characters. See [`framing`].
//! 3. **Path.** A path that two programs could decode differently is refused with 400 /
//!    `INVALID_ARGUMENT`: dot segments however written, encoded separators, double encoding,
//!    broken UTF-8. What is forwarded is in its canonical spelling. See [`path`].
//! 4. **Metadata.** Header fields that break the rule of their name are refused with 400 /
//!    `INVALID_ARGUMENT`. A [`Schema`](metadata::Schema) holds the rules, for all requests or for a
//!    [`Route`]; [`TypedMetadata`] makes a value of them for handlers. See [`metadata`].
//! 5. Everything else is forwarded, its URI in the canonical spelling.
//!
//! Up to 16 violations are reported. They name the rule and never repeat what was sent; a header is
//! named only if it is a [well-known](framing::well_known) one or has a rule of its own. The one
//! exception is [`NonCanonical::Redirect`](path::NonCanonical::Redirect), whose `location` is the
//! caller's path.
//!
//! Rules can be [exchanged](LiveRules) while servers run, and be [observed](Mode::Observe) before
//! they are enforced.
//!
//! Beside it stand [`BodyGuardLayer`], which bounds what is read of a body ([`body`]); [`payload`], which checks
//! what was parsed, in axum and tonic; and [`SanitizeErrorsLayer`], which keeps internal errors from callers
//! ([`sanitize`]).
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_validate::ValidateLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let echo = service_fn(|request: Request<()>| async move {
//!     let path = request.uri().path().to_owned();
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(path)))
//! });
//! let service = ValidateLayer::http().layer(echo);
//!
//! let request = Request::get("http://a.example/files/a.txt?v=1").body(())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! let request = Request::get("http://a.example/files/..%2Fsecret").body(())?;
//! let refused = service.oneshot(request).await?;
//! assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
//! assert_eq!(refused.headers()["content-type"], "application/problem+json");
//! # Ok(())
//! # }
//! ```
//!
//! # In a stack
//!
//! Outside everything that decides by header or path: rate limits, authentication, routing. Inside
//! tracing. It expects nothing of the layers outside it, except that they leave the URI as the
//! server parsed it.
//!
//! A layer further in reads the path from [`http::Uri`]. One that must know whether the path was checked at
//! all asks for [`CanonicalPath`], which [`RuleSet::with_canonical_path`] leaves in the extensions.
//!
//! # Deployment caveats
//!
//! * The server parses before this layer runs. What its parser refuses or repairs is not seen here
//!   (hyper takes `content-length` out of a message that has `transfer-encoding`), and memory for a
//!   large head is spent already: set the server's own limits too (hyper's `max_buf_size`,
//!   `max_headers`, `max_header_list_size`), somewhat above these.
//! * axum's `Router::layer` runs after routing. To check what is routed, and to have
//!   [`NonCanonical::Rewrite`](path::NonCanonical::Rewrite) reach the router, wrap the whole router:
//!   `Router::new().fallback_service(validate.layer(router))`.
//! * Only a declared body is measured. [`BodyGuardLayer`] measures what is read as well.
//!   [`RuleSet::http`] and [`RuleSet::grpc`] let any
//!   length be declared; [`RuleSet::plugin`] allows 4 MiB.
//! * A path in another spelling than the canonical one is refused by default, harmless or not. See
//!   [`NonCanonical`](path::NonCanonical) for forwarding the canonical spelling instead.
//! * A test or a gateway that makes HTTP/1.1 requests in this process, without an HTTP client that
//!   completes them, must name a host (`Request::get("http://a.example/path")` does), or use
//!   [`with_missing_host`](framing::FramingRules::with_missing_host).
//! * Proxies that append a second `x-forwarded-for` line, rather than extend the first, need
//!   [`with_repeated_forwarded`](framing::FramingRules::with_repeated_forwarded).
//! * `CONNECT host:port` is refused, because it has no path.
//! * The path and the size of the target are decided before the route is known, so that a [`Route`]
//!   has no path rules of its own.
//!
//! # Failure modes
//!
//! The checks are total: no request makes them fail, block or panic, so there is no failing open or
//! closed to choose between. A request that breaks a rule is refused; rules that make no sense are
//! an error when they are built. What a user's own check or parser does is the user's. Forwarding a
//! request whose path is already canonical allocates nothing but what typed metadata takes, and a
//! [`CanonicalPath`] where one is [asked for](RuleSet::with_canonical_path).
//!
//! What is [observed](Mode::Observe) passes. A request whose path would be refused then never has a
//! [`CanonicalPath`], so that permission checks which ask for one go on refusing it.
//!
//! # Features
//!
//! Name | Description | Default?
//! ---|---|---
//! `axum` | Extractors that check what they parse ([`payload`]) |
//! `garde` | Check with garde's derive |
//! `metrics` | Counts of what is refused, for the `metrics` facade |
//! `pattern` | Regular expressions of your own, compiled to tables of limited size (`metadata::Pattern`) |
//! `serde` | Header fields as a struct that derives `Deserialize` (`TypedMetadata::of`, `TypedMetadata::checked`) |
//! `tonic` | Check messages, and each message of a stream |
//! `validator` | Check payloads, and header fields, with validator's derive |
//!
//! The engines ([`limits`], [`framing`], [`path`], [`metadata`], [`format`](mod@format),
//! [`payload::shape`], [`body::envelope`]) know nothing of Tower or HTTP libraries and can be used on
//! their own.

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

pub mod body;
mod caller;
pub mod format;
pub mod framing;
pub mod limits;
pub mod metadata;
mod meter;
mod octets;
pub mod path;
pub mod payload;
mod request;
pub mod sanitize;
mod sieve;
#[cfg(feature = "tonic")]
mod status;

pub use body::{BodyGuardLayer, BodyLimits};
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use request::InvalidType;
pub use request::{
    CanonicalPath, Counts, InvalidRoute, LiveRules, Metadata, Mode, Observed, Part, ResponseFuture,
    Route, RouteRules, RuleSet, TypedMetadata, Validate, ValidateLayer,
};
pub use sanitize::SanitizeErrorsLayer;

pub use tower_plugin_core::{Code, Rejection, ResponseBody, Violation};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
