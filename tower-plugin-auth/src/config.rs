use std::fmt;

/// A setting outside its range; nothing was built with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidConfig {
    field: &'static str,
    allowed: &'static str,
}

impl InvalidConfig {
    pub(crate) const fn new(field: &'static str, allowed: &'static str) -> Self {
        Self { field, allowed }
    }

    /// Which setting.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What it may be.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.allowed)
    }
}

impl std::error::Error for InvalidConfig {}
