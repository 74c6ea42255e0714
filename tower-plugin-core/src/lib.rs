//! What the tower-plugin layers say to each other and to a refused caller.
//!
//! You seldom name this crate: the layer crates re-export what their APIs mention. It holds the nouns
//! that cross crate borders and nothing else:
//!
//! 1. [`Protocol`] tells a plain HTTP, gRPC, gRPC-Web or Connect caller from the request head.
//! 2. [`Rejection`] is a refusal, rendered as a *response* the caller's client library understands;
//!    a layer's `Service::Error` is never touched.
//! 3. [`ResponseBody`] is the inner service's body or a small full one.
//! 4. [`Principal`] is who was authenticated; one layer inserts it, others key on it.
//! 5. [`ClientIp`] is where the request came from, spoof-proof by default.
//! 6. [`RequestHead`] is what the closures given to a layer see of a request.
//! 7. [`Answer`] is a value that is there, or a future of it.
//! 8. [`Clock`] is the only reader of time, with a [`ManualClock`] for tests.
//!
//! ```
//! use http::{HeaderMap, header::RETRY_AFTER};
//! use std::time::Duration;
//! use tower_plugin_core::{Code, Rejection, ResponseBody};
//!
//! let request = HeaderMap::new(); // no content-type: a plain HTTP caller
//! let response: http::Response<ResponseBody<http_body_util::Empty<bytes::Bytes>>> =
//!     Rejection::new(Code::ResourceExhausted, "RATE_LIMITED", "too many requests")
//!         .with_retry_after(Duration::from_millis(1200))
//!         .into_response(&request);
//!
//! assert_eq!(response.status(), 429);
//! assert_eq!(response.headers()[RETRY_AFTER], "2"); // rounded up, never 0
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! ```
//!
//! # Failure modes
//!
//! Nothing here fails or panics: rendering is total and bounded (message 1 KiB, details 4 KiB,
//! 16 violations), and what does not fit is left out whole, never cut in the middle of a value.
//!
//! # Features
//!
//! Name | Description | Default?
//! ---|---|---
//! `axum` | [`ClientIp`] reads `axum::extract::ConnectInfo<SocketAddr>` |
//! `tonic` | [`ClientIp`] reads tonic's `TcpConnectInfo` |
//! `tonic-tls` | [`ClientIp`] reads tonic's `TlsConnectInfo<TcpConnectInfo>` too |

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

mod answer;
mod body;
mod client_ip;
mod clock;
mod code;
mod head;
mod principal;
mod protocol;
mod rejection;

pub use answer::{Answer, AnswerFuture};
pub use body::ResponseBody;
pub use client_ip::{ClientIp, ForwardedHeader, InvalidClientIp, PeerAddr};
pub use clock::{Clock, ManualClock, SystemClock};
pub use code::Code;
pub use head::RequestHead;
pub use principal::Principal;
pub use protocol::Protocol;
pub use rejection::{Rejection, Violation};

pub use ipnet::IpNet;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
