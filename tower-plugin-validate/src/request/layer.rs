use tower_layer::Layer;

use super::{LiveRules, RuleSet, Validate};

/// Refuses requests whose head is too large, ambiguous, aimed at an ambiguous path or holds
/// metadata that breaks its rules.
///
/// See the [crate docs](crate) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct ValidateLayer {
    rules: LiveRules,
}

impl ValidateLayer {
    /// Applies these rules, a [`RuleSet`] or [`LiveRules`]. Every service made by this layer, and
    /// every clone, shares them.
    pub fn new(rules: impl Into<LiveRules>) -> Self {
        Self {
            rules: rules.into(),
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

    /// The rules, to exchange or to ask for their counts.
    #[must_use]
    pub const fn rules(&self) -> &LiveRules {
        &self.rules
    }
}

impl<S> Layer<S> for ValidateLayer {
    type Service = Validate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Validate::new(inner, self.rules.clone())
    }
}
