//! The plugin host, driven over real sockets.

mod connections;
mod demo;
mod handshake;
mod layers;
mod logger;
mod process;
mod registry;
mod services;
mod streams;
mod support;
mod vectors;
mod watch;
mod wire;
