//! What the documents say, held against the tree.

mod blocks;
mod commands;
mod items;
mod links;
mod names;
mod words;
