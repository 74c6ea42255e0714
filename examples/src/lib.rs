//! Programs that show the tower-plugin layers at work.
//!
//! The main one is `plugin-host`; [`host`] is all of it but the `main` function, so that tests can
//! start it in process.

// A request must not be able to panic the server.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]
#![warn(missing_docs)]

pub mod distributed;
pub mod host;
pub mod proto;
pub mod regular_file;
pub mod replaceable;
