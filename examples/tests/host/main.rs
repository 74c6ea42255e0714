//! The plugin host, driven over real sockets.

mod admin;
mod allowed;
mod audit;
mod broker;
mod config;
mod connections;
mod copies;
mod demo;
mod door;
mod handshake;
mod layers;
mod logger;
mod managed;
mod process;
mod registry;
mod services;
mod shutdown;
mod stack;
mod streams;
mod support;
mod tls;
mod vectors;
mod watch;
mod wire;
