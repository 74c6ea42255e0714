use std::sync::Arc;

use tower_layer::Layer;

use super::{RuleSet, Validate};

/// Refuses requests whose head is too large, ambiguous or aimed at an ambiguous path.
///
/// See the [crate docs](crate) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct ValidateLayer {
    rules: Arc<RuleSet>,
}

impl ValidateLayer {
    /// Applies these rules. Every service made by this layer, and every clone, shares them.
    pub fn new(rules: RuleSet) -> Self {
        Self {
            rules: Arc::new(rules),
        }
    }

    /// Applies [`RuleSet::http`].
    pub fn http() -> Self {
        Self::new(RuleSet::http())
    }

    /// Applies [`RuleSet::grpc`].
    pub fn grpc() -> Self {
        Self::new(RuleSet::grpc())
    }

    /// Applies [`RuleSet::plugin`].
    pub fn plugin() -> Self {
        Self::new(RuleSet::plugin())
    }
}

impl<S> Layer<S> for ValidateLayer {
    type Service = Validate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Validate::new(inner, Arc::clone(&self.rules))
    }
}
