//! What the documents say, held against the tree.

mod commands;
mod links;
mod names;
mod support;
mod words;
