//! Engine: where secrets get their randomness.

use std::{error::Error, fmt};

/// A source of bytes nobody can guess.
///
/// [`SystemRng`](crate::SystemRng) is the one to use; tests hand in one that fails.
pub trait Rng: Send + Sync {
    /// Fills the whole buffer.
    ///
    /// # Errors
    ///
    /// [`RngError`] when the source cannot deliver; what the buffer then holds must not be used.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError>;
}

impl<R: Rng + ?Sized> Rng for std::sync::Arc<R> {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        (**self).fill(buffer)
    }
}

/// No randomness was to be had, so nothing was made of it.
#[derive(Debug)]
pub struct RngError {
    source: Box<dyn Error + Send + Sync>,
}

impl RngError {
    /// Wraps the source's own complaint.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for RngError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("randomness is unavailable")
    }
}

impl Error for RngError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
