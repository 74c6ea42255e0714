//! One limit for many replicas, on Redis or Valkey.

mod known;
mod ledger;
mod script;
mod terms;
mod wire;

#[cfg(test)]
mod equality;
