//! For callers: attach a token to every request, and keep it fresh.
//!
//! [`BearerLayer`] gets a token from a [`TokenSource`] when the first request needs one, and another before
//! it expires: one fetch at a time, however many requests there are, and none of them waits while the token at
//! hand is good. A caller that loses interest takes no fetch down with it.
//!
//! A token goes to the one [`Origin`] it is for, and to no other, wherever a redirect points. An origin that is
//! not encrypted is an error when it is built; [`Origin::insecure`] is how to insist, also for loopback.
//!
//! ```
//! use std::{io, time::Duration};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_auth::client::{BearerLayer, BearerToken, Origin};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Asks whoever issues tokens.
//! let fetch = async || BearerToken::new("tpr_example", Duration::from_secs(3600)).map_err(io::Error::other);
//! // In place of hyper-util's client, a tonic channel, reqwest.
//! let server = service_fn(async |request: Request<String>| {
//!     let authorization = request.headers().get("authorization").cloned();
//!     Ok::<_, io::Error>(Response::new(format!("{authorization:?}")))
//! });
//!
//! let client = BearerLayer::new(fetch, Origin::new("https://plugins.example")?).layer(server);
//! let request = Request::get("https://plugins.example/").body(String::new())?;
//! let response = client.clone().oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//!
//! let error = Origin::new("http://plugins.example").unwrap_err();
//! assert_eq!(error.to_string(), "origin must be `https://HOST[:PORT]` or `unix:PATH`");
//! # Ok(())
//! # }
//! ```
//!
//! # Failure modes
//!
//! * No token at hand and none to be had: the request is not sent; the answer is 503 / `UNAVAILABLE` with
//!   `Retry-After` in the protocol of the request, and `Service::Error` stays what it is. The source is
//!   asked again after a pause, of 1 second and up to 30.
//! * A token at hand and no newer one to be had: it is used until it expires.
//! * The server answers 401 / `UNAUTHENTICATED`: the answer is handed on, and the token dropped if it is more
//!   than 10 seconds old, so that the next request fetches another. A younger one is kept: a server that
//!   refuses what was just fetched is not helped by more of it. Nothing is sent twice.
//! * A source that hangs is given up after a while ([`BearerLayer::with_fetch_timeout`]), one that panics has
//!   failed.
//! * Fetching takes a Tokio runtime with its time driver: outside of a runtime there is no token to be
//!   had.

mod future;
mod keeper;
mod layer;
mod origin;
mod service;
mod source;

pub use future::ResponseFuture;
pub use layer::BearerLayer;
pub use origin::Origin;
pub use service::Bearer;
pub use source::{BearerToken, TokenSource};
