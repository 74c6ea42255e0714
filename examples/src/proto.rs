//! The wire messages, generated from `proto/`.
//!
//! Their `Debug` prints every field, tokens included: never log a message.
#![allow(
    clippy::allow_attributes_without_reason,
    clippy::semicolon_if_nothing_returned,
    clippy::str_to_string,
    clippy::use_self,
    elided_lifetimes_in_paths,
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    reason = "generated code keeps its own habits"
)]

connectrpc::include_generated!("protos.rs");

/// What the `tonic-validate` example serves.
pub mod orders {
    use validator::Validate;

    tonic::include_proto!("orders.v1");
}
