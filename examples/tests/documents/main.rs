//! What the documents have readers type, typed.

mod host;
mod operations;
mod redis;
mod terminal;
