//! The plugin host, driven over real sockets.

mod admin;
mod config;
mod connections;
mod handshake;
mod layers;
mod process;
mod registry;
mod support;
mod tls;
mod vectors;
mod wire;
