use std::borrow::Cow;

/// What is wrong with one field of a request.
///
/// See [`Rejection::with_violation`](crate::Rejection::with_violation).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    field: Cow<'static, str>,
    reason: &'static str,
    description: Cow<'static, str>,
}

impl Violation {
    /// `field` is a path the caller can find (`header.x-tenant-id`, `body.items[2].email`), `reason`
    /// the rule in `UPPER_SNAKE_CASE`, `description` what would be right. None may repeat the value.
    #[must_use]
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        reason: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            reason,
            description: description.into(),
        }
    }

    /// The same, somewhere else.
    #[must_use]
    pub fn with_field(self, field: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.into(),
            ..self
        }
    }

    /// Where it is.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The rule that was broken.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// What would be right.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }
}
