//! `validator`'s errors, without the values it puts into them.

use std::borrow::Cow;

use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::check::{Check, Step, Violations, push_step};

#[cfg_attr(docsrs, doc(cfg(feature = "validator")))]
impl<T: validator::Validate> Check for T {
    fn check(&self) -> Result<(), Violations> {
        self.validate().map_err(|errors| {
            let mut violations = Violations::new();
            collect(&errors, &mut Vec::new(), &mut violations);
            if violations.is_empty() {
                // Errors that say nothing: a `Validate` written by hand can return them.
                violations.add("", "INVALID", "is not valid");
            }
            violations
        })
    }
}

fn collect<'a>(errors: &'a ValidationErrors, path: &mut Vec<Step<'a>>, out: &mut Violations) {
    // The map is in no order; answers should be.
    let mut fields: Vec<_> = errors.errors().iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    for (name, kind) in fields {
        // What `validator` calls errors of the struct as a whole, and of a list in place of one.
        let is_field = !name.starts_with("__") && !name.starts_with("_tmp");
        if is_field {
            // A name that was made up at run time could hold anything.
            path.push(Step::Name(match name {
                Cow::Borrowed(name) => name,
                Cow::Owned(_) => "*",
            }));
        }
        of_kind(kind, path, out);
        if is_field {
            path.pop();
        }
    }
}

fn of_kind<'a>(kind: &'a ValidationErrorsKind, path: &mut Vec<Step<'a>>, out: &mut Violations) {
    match kind {
        // So deep that following it would be work for the stack.
        ValidationErrorsKind::Struct(_) | ValidationErrorsKind::List(_)
            if path.len() >= MAX_PATH =>
        {
            out.add(
                rendered(path),
                "INVALID",
                "holds something that is not valid",
            );
        }
        ValidationErrorsKind::Struct(errors) => collect(errors, path, out),
        ValidationErrorsKind::List(list) => {
            for (&index, errors) in list {
                // A list of thousands that are all wrong need not be walked to its end.
                if out.is_full() {
                    return;
                }
                path.push(Step::Index(index));
                collect(errors, path, out);
                path.pop();
            }
        }
        ValidationErrorsKind::Field(errors) => {
            for error in errors {
                out.add(rendered(path), reason(error), description(error));
            }
        }
    }
}

fn rendered(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |mut out, &step| {
        push_step(&mut out, step);
        out
    })
}

/// A code that was made up at run time could hold anything.
fn reason(error: &ValidationError) -> &'static str {
    let Cow::Borrowed(code) = error.code else {
        return "INVALID";
    };
    let known = RULES.iter().find(|(name, ..)| *name == code);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match known {
        Some((_, reason, _)) => reason,
        None if code.len() <= 63 && code.bytes().all(plain) => code,
        None => "INVALID",
    }
}

/// The rule's own message if it is a constant, else one of ours.
fn description(error: &ValidationError) -> Cow<'static, str> {
    if let Some(Cow::Borrowed(message)) = error.message {
        return message.into();
    }
    match &*error.code {
        "length" => bounded(error, "must be ", " long"),
        "range" => bounded(error, "must be ", ""),
        code => {
            let known = RULES.iter().find(|(name, ..)| *name == code);
            known
                .map_or("is not valid", |(.., description)| description)
                .into()
        }
    }
}

/// The bounds of a rule are the program's; its other parameters may be the caller's.
fn bounded(error: &ValidationError, before: &str, after: &str) -> Cow<'static, str> {
    let bound = |name: &str| {
        let value = error.params.get(name)?;
        value.is_number().then(|| value.to_string())
    };
    let mut out = String::from(before);
    let mut separator = "";
    for (name, words) in BOUNDS {
        if let Some(bound) = bound(name) {
            out.extend([separator, words, &bound]);
            separator = " and ";
        }
    }
    if separator.is_empty() {
        return "is not within its bounds".into();
    }
    out.push_str(after);
    out.into()
}

const BOUNDS: [(&str, &str); 5] = [
    ("equal", "exactly "),
    ("min", "at least "),
    ("exclusive_min", "more than "),
    ("max", "at most "),
    ("exclusive_max", "less than "),
];

const MAX_PATH: usize = 64;

/// `validator`'s codes, our reasons, and what would be right.
const RULES: &[(&str, &str, &str)] = &[
    ("contains", "CONTAINS", "must contain what is asked for"),
    ("credit_card", "CREDIT_CARD", "must be a card number"),
    (
        "does_not_contain",
        "DOES_NOT_CONTAIN",
        "must not contain what is ruled out",
    ),
    ("email", "EMAIL", "must be an email address"),
    ("ip", "IP", "must be an IP address"),
    ("length", "LENGTH", "is not within its bounds"),
    (
        "must_match",
        "MUST_MATCH",
        "must be the same as another field",
    ),
    (
        "non_control_character",
        "CONTROL_CHARACTER",
        "must not hold control characters",
    ),
    ("phone", "PHONE", "must be a phone number"),
    ("range", "RANGE", "is not within its bounds"),
    ("regex", "PATTERN", "must have the form asked for"),
    ("required", "REQUIRED", "is required"),
    ("url", "URL", "must be a URL"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tower_plugin_core::Violation;

    use super::*;

    struct Told(ValidationErrors);

    impl validator::Validate for Told {
        fn validate(&self) -> Result<(), ValidationErrors> {
            Err(self.0.clone())
        }
    }

    #[test]
    fn a_name_made_up_at_run_time_is_not_told() {
        let kind = ValidationErrorsKind::Field(vec![ValidationError::new("email")]);
        let of = |name: Cow<'static, str>, kind| ValidationErrors(HashMap::from([(name, kind)]));
        let inner = of(Cow::Borrowed("email"), kind);
        let inner = ValidationErrorsKind::Struct(Box::new(inner));
        let errors = of(Cow::Owned("s3cr3t".to_owned()), inner);

        let violations = Told(errors).check().unwrap_err();
        let fields: Vec<_> = violations.iter().map(Violation::field).collect();
        assert_eq!(fields, ["*.email"]);
    }
}
