//! Engine: secret bytes in an array, overwritten when nobody needs them any more.

use std::ops::{Deref, DerefMut};

use zeroize::zeroize_bytes;

/// What `Zeroizing<[u8; N]>` is, but overwritten as one: an array is otherwise overwritten byte by byte, which was
/// a tenth of the time a check of a token takes.
#[derive(Clone)]
pub(crate) struct Wiped<const N: usize>([u8; N]);

impl<const N: usize> Wiped<N> {
    pub(crate) const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// To be filled.
    pub(crate) const fn zeros() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Drop for Wiped<N> {
    #[inline]
    fn drop(&mut self) {
        zeroize_bytes(&mut self.0);
    }
}

impl<const N: usize> Deref for Wiped<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Wiped<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}
