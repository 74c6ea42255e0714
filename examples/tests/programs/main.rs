//! The small programs, run as a user would.

mod audit;
mod auth;
mod manifest;
mod ratelimit;
mod support;
mod validate;
