//! Every token store keeps the same promises: one suite, run over each of them.

mod memory;
mod suite;
mod support;
