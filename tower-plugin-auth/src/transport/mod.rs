//! Insists that what is sent cannot be read on the way.
//!
//! [`RequireSecureTransportLayer`] is the outermost layer: a bearer token that has travelled in clear is
//! known to whoever listened, so what comes that way should not be answered.

pub(crate) mod connection;
mod forwarded;
mod layer;
mod service;
pub(crate) mod warning;

pub use crate::gated::ResponseFuture;
pub use connection::{LocalSocket, TlsInfo};
pub use forwarded::ForwardedProto;
pub use layer::{RequireSecureTransportLayer, SecureTransport};
pub use service::RequireSecureTransport;
pub use warning::DISABLE_TLS_WARNING;
