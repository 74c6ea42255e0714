use crate::{framing::FramingRules, limits::Limits, path::PathRules};

/// What [`ValidateLayer`](crate::ValidateLayer) lets pass.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::{
///     RuleSet, limits::Limits,
///     path::{NonCanonical, PathRules},
/// };
///
/// let rules = RuleSet::http()
///     .with_limits(Limits::http().to_builder().declared_body(64 * 1024).build()?)
///     .with_path(PathRules::http().with_non_canonical(NonCanonical::Rewrite));
/// # let _ = rules;
/// # Ok::<_, tower_plugin_validate::limits::InvalidLimit>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RuleSet {
    limits: Limits,
    framing: FramingRules,
    path: PathRules,
}

impl RuleSet {
    /// [`Limits::http`], [`FramingRules::http`] and [`PathRules::http`].
    pub const fn http() -> Self {
        Self {
            limits: Limits::http(),
            framing: FramingRules::http(),
            path: PathRules::http(),
        }
    }

    /// [`Limits::grpc`], [`FramingRules::grpc`] and [`PathRules::grpc`].
    pub const fn grpc() -> Self {
        Self {
            limits: Limits::grpc(),
            framing: FramingRules::grpc(),
            path: PathRules::grpc(),
        }
    }

    /// [`Limits::plugin`], [`FramingRules::plugin`] and [`PathRules::plugin`].
    pub const fn plugin() -> Self {
        Self {
            limits: Limits::plugin(),
            framing: FramingRules::plugin(),
            path: PathRules::plugin(),
        }
    }

    /// Replaces the limits.
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the rules of framing.
    pub const fn with_framing(mut self, framing: FramingRules) -> Self {
        self.framing = framing;
        self
    }

    /// Replaces the rules of the path.
    pub const fn with_path(mut self, path: PathRules) -> Self {
        self.path = path;
        self
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The rules of framing.
    #[must_use]
    pub const fn framing(&self) -> &FramingRules {
        &self.framing
    }

    /// The rules of the path.
    #[must_use]
    pub const fn path(&self) -> &PathRules {
        &self.path
    }
}
