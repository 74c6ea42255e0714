use crate::token::{Rng, RngError};

/// The operating system's source of randomness.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        getrandom::fill(buffer).map_err(RngError::new)
    }
}
