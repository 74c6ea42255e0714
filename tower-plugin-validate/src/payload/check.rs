use std::borrow::Cow;

use tower_plugin_core::{Code, Rejection, Violation};

/// Says what is wrong with a value.
///
/// See the [module docs](super) for who implements it, and for an example.
#[diagnostic::on_unimplemented(
    message = "nothing says how to check `{Self}`",
    note = "derive `validator::Validate` (feature `validator`), wrap it in `Garde` (feature `garde`), or implement `Check`"
)]
pub trait Check {
    /// Checks.
    ///
    /// # Errors
    ///
    /// [`Violations`], at least one, none of which repeats a value.
    fn check(&self) -> Result<(), Violations>;
}

/// What is wrong with a value. The first 16 are kept, and whether there were more.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Nothing is wrong.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one. `field` is a path from the value (`items[2].email`), or empty for the value itself;
    /// `reason` is the rule in `UPPER_SNAKE_CASE`, `description` what would be right.
    pub fn add(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        reason: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) {
        if !self.is_full() {
            self.0.push(Violation::new(field, reason, description));
        }
    }

    /// Adds those of a value within this one, which is found at `field` (`items[2]`).
    ///
    /// ```
    /// # use tower_plugin_validate::payload::{Check, Violations};
    /// struct Order {
    ///     lines: Vec<Line>,
    /// }
    ///
    /// struct Line {
    ///     quantity: u32,
    /// }
    ///
    /// impl Check for Order {
    ///     fn check(&self) -> Result<(), Violations> {
    ///         let mut violations = Violations::new();
    ///         for (index, line) in self.lines.iter().enumerate() {
    ///             violations.add_nested(format!("lines[{index}]"), line.check());
    ///         }
    ///         violations.into_result()
    ///     }
    /// }
    ///
    /// impl Check for Line {
    ///     fn check(&self) -> Result<(), Violations> {
    ///         let mut violations = Violations::new();
    ///         if self.quantity == 0 {
    ///             violations.add("quantity", "RANGE", "must be at least 1");
    ///         }
    ///         violations.into_result()
    ///     }
    /// }
    ///
    /// let order = Order { lines: vec![Line { quantity: 1 }, Line { quantity: 0 }] };
    /// let violations = order.check().unwrap_err();
    /// assert_eq!(violations.iter().next().unwrap().field(), "lines[1].quantity");
    /// ```
    pub fn add_nested(&mut self, field: impl AsRef<str>, nested: Result<(), Self>) {
        let place = field.as_ref();
        for violation in nested.err().into_iter().flatten() {
            if self.is_full() {
                return;
            }
            let field = joined(place, violation.field());
            self.0.push(violation.with_field(field));
        }
    }

    /// Those that were kept, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter().take(KEPT)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails if anything is wrong.
    ///
    /// # Errors
    ///
    /// These violations.
    pub fn into_result(self) -> Result<(), Self> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }

    /// Whether adding another one would change nothing.
    pub(super) const fn is_full(&self) -> bool {
        self.0.len() > KEPT
    }

    /// The refusal of a request whose part named `place` (none, for a gRPC message) is like this.
    #[cfg_attr(
        not(any(test, feature = "axum", feature = "tonic")),
        expect(dead_code, reason = "for the adapters that answer requests")
    )]
    pub(super) fn into_rejection(self, place: &'static str) -> Rejection {
        let rejection =
            Rejection::new(Code::InvalidArgument, "INVALID", "the request is not valid");
        self.into_iter().fold(rejection, |rejection, violation| {
            let field = placed(place, violation.field());
            rejection.with_violation(violation.with_field(field))
        })
    }
}

/// Those that were kept, and one more if there were more.
impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn placed(place: &'static str, field: &str) -> Cow<'static, str> {
    match (place, field) {
        ("", "") => Cow::Borrowed("message"),
        ("", field) => Cow::Owned(field.to_owned()),
        (place, "") => Cow::Borrowed(place),
        (place, field) => Cow::Owned(joined(place, field)),
    }
}

/// The path of a field within what is at `place`.
fn joined(place: &str, field: &str) -> String {
    let is_index = field.starts_with('[');
    match place.is_empty() || field.is_empty() || is_index {
        true => [place, field].concat(),
        false => [place, ".", field].concat(),
    }
}

/// As many as a [`Rejection`] keeps; one more tells it that some were left out.
const KEPT: usize = 16;

/// Appends a step to a path: `items`, `[2]`, `.email`.
#[cfg(any(feature = "axum", feature = "validator"))]
pub(super) fn push_step(path: &mut String, step: Step<'_>) {
    match step {
        Step::Name(name) => {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        }
        Step::Index(index) => {
            path.push('[');
            path.push_str(&index.to_string());
            path.push(']');
        }
    }
}

/// From a value to one within it.
#[cfg(any(feature = "axum", feature = "validator"))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventeenth_violation_is_left_out_and_said_to_be() {
        let many = |count: usize| {
            let mut violations = Violations::new();
            for index in 0..count {
                violations.add(format!("[{index}]"), "RULE", "must be right");
            }
            violations
        };
        assert_eq!(many(16).iter().count(), 16);
        assert_eq!(many(1000).iter().count(), 16);
        // 16 and the sign that there were more.
        assert_eq!(many(1000).0.len(), 17);

        let rejection = many(1000).into_rejection("body");
        assert_eq!(rejection.violations().len(), 16);
        assert_eq!(rejection.violations()[3].field(), "body[3]");
        assert_ne!(rejection, many(16).into_rejection("body"));
    }

    #[test]
    fn what_is_wrong_within_a_value_is_named_from_the_outside() {
        let of = |fields: &[&'static str]| {
            let mut violations = Violations::new();
            for field in fields {
                violations.add(*field, "RULE", "must be right");
            }
            violations.into_result()
        };
        let mut violations = Violations::new();
        violations.add_nested("fine", of(&[]));
        assert!(violations.is_empty());
        violations.add_nested("lines[1]", of(&["sku", "", "[0]"]));
        violations.add_nested("", of(&["sku"]));
        let fields: Vec<_> = violations.iter().map(Violation::field).collect();
        assert_eq!(fields, ["lines[1].sku", "lines[1]", "lines[1][0]", "sku"]);

        violations.add_nested("many", of(&["a"; 1000]));
        assert_eq!((violations.iter().count(), violations.0.len()), (16, 17));
        let mut inner = Violations::new();
        inner.add_nested("many", Err(violations));
        assert_eq!(
            inner.0.len(),
            17,
            "that there were more is known further out"
        );
    }

    #[test]
    fn a_field_is_named_from_where_it_stands() {
        let cases = [
            ("body", "", "body"),
            ("body", "a.b", "body.a.b"),
            ("body", "[0].a", "body[0].a"),
            ("", "a", "a"),
            ("", "", "message"),
        ];
        for (place, field, expected) in cases {
            assert_eq!(placed(place, field), expected, "{place:?} {field:?}");
        }
    }
}
