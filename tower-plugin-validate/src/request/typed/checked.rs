use std::borrow::Cow;

use serde::de::DeserializeOwned;
use tower_plugin_core::Violation;
use validator::{Validate, ValidationError, ValidationErrors};

use super::{
    InvalidType, TypedMetadata,
    of::{fields_of, parse},
};
use crate::request::findings::field;

impl TypedMetadata {
    /// Parses as [`of`](Self::of) does, and then asks `validator::Validate`.
    ///
    /// Of its errors, the field, the rule and messages that are constants of the program are told,
    /// never the values `validator` puts beside them. Prefer [`Format::Email`] in a schema to its
    /// `email` rule, which takes `a@<script>[127.0.0.1]` for one.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tower_plugin_validate::{RuleSet, TypedMetadata};
    /// use validator::Validate;
    ///
    /// #[derive(Deserialize, Validate)]
    /// #[serde(rename_all = "kebab-case")]
    /// struct Page {
    ///     #[validate(range(min = 1, max = 100, message = "must be from 1 to 100"))]
    ///     x_page_size: u32,
    /// }
    ///
    /// let rules = RuleSet::http().with_typed(TypedMetadata::checked::<Page>()?);
    /// # let _ = rules;
    /// # Ok::<_, tower_plugin_validate::InvalidType>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    ///
    /// [`Format::Email`]: crate::format::Format::Email
    #[cfg_attr(docsrs, doc(cfg(feature = "validator")))]
    pub fn checked<T>() -> Result<Self, InvalidType>
    where
        T: DeserializeOwned + Validate + Send + Sync + 'static,
    {
        let fields = fields_of::<T>()?;
        Ok(Self::parsed_by(move |headers| {
            let value: T = parse(headers)?;
            match value.validate() {
                Ok(()) => Ok(value),
                Err(errors) => Err(violations(&errors, fields)),
            }
        }))
    }
}

fn violations(errors: &ValidationErrors, fields: &[&'static str]) -> Vec<Violation> {
    // The map is in no order; answers should be.
    let mut errors: Vec<_> = errors.field_errors().into_iter().collect();
    errors.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let errors = errors.into_iter().flat_map(|(name, errors)| {
        // `validator` knows the field by its name in the program.
        let header = name.replace('_', "-");
        let known = fields
            .iter()
            .find(|known| known.eq_ignore_ascii_case(&header));
        let place = field(known.copied());
        errors.iter().map(move |error| (place.clone(), error))
    });
    let violations = errors.map(|(place, error)| {
        let (reason, description) = told(error);
        Violation::new(place, reason, description)
    });
    let violations: Vec<_> = violations.collect();
    if violations.is_empty() {
        // Errors of something that is no field: still no request in order.
        return vec![Violation::new("header", "INVALID", "is not valid")];
    }
    violations
}

/// Reason and description. What was put together at run time may hold a value.
fn told(error: &ValidationError) -> (&'static str, Cow<'static, str>) {
    let known = RULES.iter().find(|(code, ..)| *code == error.code);
    let (reason, description) = known.map_or(("INVALID", "is not valid"), |rule| (rule.1, rule.2));
    match &error.message {
        Some(Cow::Borrowed(message)) => (reason, Cow::Borrowed(message)),
        _ => (reason, Cow::Borrowed(description)),
    }
}

const RULES: &[(&str, &str, &str)] = &[
    ("contains", "CONTAINS", "must contain what is asked for"),
    (
        "does_not_contain",
        "DOES_NOT_CONTAIN",
        "must not contain what is ruled out",
    ),
    ("email", "EMAIL", "must be an email address"),
    ("ip", "IP", "must be an IP address"),
    ("length", "LENGTH", "is too short or too long"),
    (
        "must_match",
        "MUST_MATCH",
        "must be the same as another field",
    ),
    ("range", "RANGE", "is too small or too large"),
    ("regex", "PATTERN", "is not of the form it must have"),
    ("required", "REQUIRED", "must be there"),
    ("url", "URL", "must be a URL"),
];
