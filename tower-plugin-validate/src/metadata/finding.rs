//! Engine: what is wrong with a field.

use core::fmt;

/// What is wrong with a field. Borrows from the schema, and holds nothing of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Finding<'s> {
    name: Option<&'s str>,
    reason: &'static str,
    description: &'s str,
}

impl<'s> Finding<'s> {
    pub(super) const fn new(
        name: Option<&'s str>,
        reason: &'static str,
        description: &'s str,
    ) -> Self {
        Self {
            name,
            reason,
            description,
        }
    }

    /// The field's name, if the schema has it; of a prefix rule, the prefix is not a name.
    #[must_use]
    pub const fn name(&self) -> Option<&'s str> {
        self.name
    }

    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// The sentence a caller is given, without its subject.
    #[must_use]
    pub const fn description(&self) -> &'s str {
        self.description
    }
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} {}", self.description),
            None => f.write_str(self.description),
        }
    }
}
