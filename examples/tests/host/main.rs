//! The plugin host, driven over real sockets.

mod admin;
mod admin_plugins;
mod audit;
mod broker;
mod config;
mod connections;
mod copies;
mod demo;
mod door;
mod gaps;
mod handshake;
mod layers;
mod logger;
mod process;
mod registry;
mod reload;
mod services;
mod shutdown;
mod stack;
mod streams;
mod support;
mod tls;
mod vectors;
mod watch;
mod wire;
