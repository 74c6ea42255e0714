//! The layers of feature `client`, from outside.
#![cfg(feature = "client")]

mod breaker;
mod contract;
mod retry;
mod support;
mod throttle;
