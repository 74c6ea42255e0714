//! What the documents say, held against the tree.

mod commands;
mod links;
mod metrics;
mod names;
mod support;
mod words;
