use tower_layer::Layer;

use super::{BodyGuard, BodyLimits};
use crate::limits::InvalidLimit;

/// Holds the bodies of requests to limits.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct BodyGuardLayer {
    limits: BodyLimits,
}

impl BodyGuardLayer {
    /// Applies these limits.
    pub const fn new(limits: BodyLimits) -> Self {
        Self { limits }
    }

    /// Bodies of at most so many bytes, and messages of a stream likewise; the rest as in [`BodyLimits::http`].
    ///
    /// ```
    /// use tower_plugin_validate::BodyGuardLayer;
    ///
    /// let layer = BodyGuardLayer::at_most(64 * 1024)?;
    /// # let _ = layer;
    /// # Ok::<_, tower_plugin_validate::limits::InvalidLimit>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidLimit`] if it is 0, or more than 1 TiB.
    pub fn at_most(bytes: u64) -> Result<Self, InvalidLimit> {
        let limits = BodyLimits::builder().body_bytes(bytes);
        // A message cannot announce more than its prefix holds.
        let limits = limits.message_bytes(bytes.min(u32::MAX.into()));
        Ok(Self::new(limits.build()?))
    }

    /// Applies [`BodyLimits::http`].
    pub const fn http() -> Self {
        Self::new(BodyLimits::http())
    }

    /// Applies [`BodyLimits::grpc`].
    pub const fn grpc() -> Self {
        Self::new(BodyLimits::grpc())
    }
}

impl<S> Layer<S> for BodyGuardLayer {
    type Service = BodyGuard<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyGuard::new(inner, self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyLimit;

    #[test]
    fn one_number_bounds_a_body_and_each_message() {
        let max = |bytes| {
            let limits = BodyGuardLayer::at_most(bytes).unwrap().limits;
            [BodyLimit::BodyBytes, BodyLimit::MessageBytes].map(|limit| limits.max(limit))
        };
        assert_eq!(max(1), [Some(1), Some(1)]);
        assert_eq!(max(1 << 40), [Some(1 << 40), Some(u32::MAX.into())]);
        for refused in [0, (1 << 40) + 1] {
            let invalid = BodyGuardLayer::at_most(refused).unwrap_err();
            assert_eq!(invalid.field(), "body_bytes");
        }
    }
}
