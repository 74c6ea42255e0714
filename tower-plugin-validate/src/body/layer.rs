use tower_layer::Layer;

use super::{BodyGuard, BodyLimits};

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
