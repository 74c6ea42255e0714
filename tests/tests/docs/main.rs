//! What the documents say, held against the tree.

mod blocks;
mod commands;
mod links;
mod names;
mod words;
