//! What leaves the server when something went wrong inside it.

mod allocations;
mod clients;
mod responses;
mod streams;
mod support;
