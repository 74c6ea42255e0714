//! The script that decides inside Redis.

/// What is sent where the server does not know the script yet.
pub(super) const TEXT: &str = include_str!("script.lua");
