//! The layers from the outside.

mod authenticate;
mod authorize;
mod capability;
mod choice;
#[cfg(feature = "client")]
mod client;
mod support;
#[cfg(feature = "tower-http")]
mod tower_http;
mod transport;
