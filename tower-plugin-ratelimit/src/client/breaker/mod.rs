//! Stops calling a service that fails, and finds out with a few probes when it is back.
//!
//! See the [module docs](super) for an example and for what counts as a failure.

mod body;
mod call;
pub mod circuit;
mod future;
mod layer;
mod service;

pub use body::CircuitBody;
pub use call::Change;
pub use circuit::{Circuit, CircuitState, InvalidCircuit, Permit, Phase, Verdict};
pub use future::ResponseFuture;
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreaker;
