//! The plugin host, driven over real sockets.

mod admin;
mod broker;
mod config;
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
mod tls;
mod vectors;
mod watch;
mod wire;
