//! The plugin host, driven over real sockets.

mod connections;
mod handshake;
mod layers;
mod process;
mod registry;
mod support;
mod vectors;
mod wire;
