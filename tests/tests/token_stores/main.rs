//! Every token store keeps the same promises: one suite, run over each of them.

mod file;
mod memory;
mod redis;
mod regressions;
mod suite;
mod support;
