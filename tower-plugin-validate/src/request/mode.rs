use tower_plugin_core::Rejection;

/// Whether requests that break a rule are refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are checked, counted and reported, and let through: to try rules out. Every finding is
    /// an event of `tracing` at `debug`, counts in [`LiveRules::counts`](crate::LiveRules::counts),
    /// and is left as [`Observed`] in the extensions of the response.
    Observe,
}

/// The parts of a [`RuleSet`](crate::RuleSet), each of which can be observed or enforced.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// [`Limits`](crate::limits::Limits).
    Limits,
    /// [`FramingRules`](crate::framing::FramingRules).
    Framing,
    /// [`PathRules`](crate::path::PathRules). A request whose path would be refused is forwarded as
    /// it came and never has a [`CanonicalPath`](crate::CanonicalPath).
    Path,
    /// [`Schema`](crate::metadata::Schema) and typed metadata.
    Metadata,
}

/// What a request that was only observed would have been refused with, in the extensions of its
/// response.
#[derive(Clone, Debug)]
pub struct Observed(pub(super) Rejection);

impl Observed {
    /// The refusal that was not sent.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.0
    }
}

/// The mode of each part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Modes {
    limits: Mode,
    framing: Mode,
    path: Mode,
    metadata: Mode,
}

impl Modes {
    pub(super) const ENFORCE: Self = Self::all(Mode::Enforce);

    pub(super) const fn all(mode: Mode) -> Self {
        Self {
            limits: mode,
            framing: mode,
            path: mode,
            metadata: mode,
        }
    }

    pub(super) const fn of(&self, part: Part) -> Mode {
        match part {
            Part::Limits => self.limits,
            Part::Framing => self.framing,
            Part::Path => self.path,
            Part::Metadata => self.metadata,
        }
    }

    pub(super) const fn set(&mut self, part: Part, mode: Mode) {
        match part {
            Part::Limits => self.limits = mode,
            Part::Framing => self.framing = mode,
            Part::Path => self.path = mode,
            Part::Metadata => self.metadata = mode,
        }
    }
}
