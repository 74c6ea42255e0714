//! Simulation: many replicas and one server in virtual time, and every window of every key is checked.
//!
//! The engines are the ones production runs: `known` on the replicas, `ledger` on the server. Around
//! them is everything that may go wrong: clocks, a network, pauses, crashes. A run follows from its
//! seed alone.
//!
//! * [`world`] runs whole programs of events. [`program`] makes them up at random.
//! * [`stage`] plays plays, act by act, where the network does what the play says. [`plot`] writes
//!   plays that aim at the rules which keep the bound, out of [`gesture`]s.
//! * [`mutation`] breaks these rules one by one, around the engines and not in them. A search that
//!   does not notice is worth nothing.
//!
//! | variable | |
//! |---|---|
//! | `SIMULATION_RUNS` | how many runs of each generator |
//! | `SIMULATION_SEED` | the seed to begin with; with one run, a failure is seen again |

mod arrivals;
mod clock;
mod dice;
mod gesture;
mod mutation;
mod network;
mod oracle;
mod plot;
mod program;
mod replica;
mod report;
mod server;
mod stage;
mod tests;
mod world;

/// Nanoseconds in a microsecond, which is what the server counts in.
const MICRO: u64 = 1_000;
/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
