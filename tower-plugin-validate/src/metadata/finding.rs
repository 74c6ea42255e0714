//! Engine: what is wrong with a field.

use core::fmt;
use std::borrow::Cow;

/// What is wrong with a field. Borrows from the schema, and holds nothing of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Finding<'s> {
    name: Option<&'s str>,
    reason: &'static str,
    description: Words<'s>,
}

/// What is said of a failure: ours, or the schema's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Words<'s> {
    Ours(&'static str),
    Schema(&'s str),
}

impl<'s> Finding<'s> {
    pub(super) const fn new(
        name: Option<&'s str>,
        reason: &'static str,
        description: Words<'s>,
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
        match self.description {
            Words::Ours(words) | Words::Schema(words) => words,
        }
    }

    /// The same, copied only if it is the schema's.
    pub(crate) fn to_description(self) -> Cow<'static, str> {
        match self.description {
            Words::Ours(words) => Cow::Borrowed(words),
            Words::Schema(words) => Cow::Owned(words.to_owned()),
        }
    }
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} {}", self.description()),
            None => f.write_str(self.description()),
        }
    }
}
