//! `garde`'s reports, in our words.

use std::{borrow::Cow, fmt::Display};

use garde::i18n::{
    I18n, InvalidCreditCard, InvalidEmail, InvalidPhoneNumber, InvalidUrl, IpKind, with_i18n,
};

use super::check::{Check, Violations};

/// A value whose `garde::Validate` is its [`Check`].
///
/// A type can be checked in one way; this wrapper says that it is `garde`'s, as in
/// `Checked<Json<Garde<Order>>>` or `checked(request.map(Garde))`. It parses as what it holds.
///
/// `garde` does not tell what its messages are made of, so the words are ours: of a bound, which may be another
/// field, not the number; of a rule that is not `garde`'s own, only that it was broken; of a path, keys of
/// a map as `*` unless they could be names of fields. For words of your own, implement [`Check`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a wrapper to take apart")]
pub struct Garde<T>(pub T);

impl<T> Check for Garde<T>
where
    T: garde::Validate,
    T::Context: Default,
{
    fn check(&self) -> Result<(), Violations> {
        with_i18n(OurWords, || self.0.validate()).or_else(|report| {
            let mut violations = Violations::new();
            for (path, error) in report.iter() {
                if violations.is_full() {
                    break;
                }
                let (reason, description) = ours(error.message());
                violations.add(without_keys(&path.to_string()), reason, description);
            }
            violations.into_result()
        })
    }
}

#[cfg(feature = "axum")]
impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Garde<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// Makes the messages of `garde`'s own rules tell themselves from all others.
struct OurWords;

impl I18n for OurWords {
    fn length_lower_than(&self, _: usize) -> Cow<'static, str> {
        "\u{1}length_lower_than".into()
    }

    fn length_greater_than(&self, _: usize) -> Cow<'static, str> {
        "\u{1}length_greater_than".into()
    }

    fn range_lower_than(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}range_lower_than".into()
    }

    fn range_greater_than(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}range_greater_than".into()
    }

    fn credit_card_invalid(&self, _: InvalidCreditCard) -> Cow<'static, str> {
        "\u{1}credit_card_invalid".into()
    }

    fn pattern_no_match(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}pattern_no_match".into()
    }

    fn contains_missing(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}contains_missing".into()
    }

    fn url_invalid(&self, _: InvalidUrl) -> Cow<'static, str> {
        "\u{1}url_invalid".into()
    }

    fn prefix_missing(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}prefix_missing".into()
    }

    fn suffix_missing(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}suffix_missing".into()
    }

    fn phone_number_invalid(&self, _: InvalidPhoneNumber) -> Cow<'static, str> {
        "\u{1}phone_number_invalid".into()
    }

    fn ip_invalid(&self, _: IpKind) -> Cow<'static, str> {
        "\u{1}ip_invalid".into()
    }

    fn matches_field_mismatch(&self, _: &dyn Display) -> Cow<'static, str> {
        "\u{1}matches_field_mismatch".into()
    }

    fn email_invalid(&self, _: InvalidEmail) -> Cow<'static, str> {
        "\u{1}email_invalid".into()
    }

    fn ascii_invalid(&self) -> Cow<'static, str> {
        "\u{1}ascii_invalid".into()
    }

    fn alphanumeric_invalid(&self) -> Cow<'static, str> {
        "\u{1}alphanumeric_invalid".into()
    }

    fn required_not_set(&self) -> Cow<'static, str> {
        "\u{1}required_not_set".into()
    }
}

/// A message that is not one of these is somebody else's.
fn ours(message: &str) -> (&'static str, &'static str) {
    let name = message.strip_prefix('\u{1}');
    let rule = RULES.iter().find(|(rule, ..)| Some(*rule) == name);
    rule.map_or(("INVALID", "is not valid"), |&(_, reason, description)| {
        (reason, description)
    })
}

/// `garde` does not tell names of fields from keys of a map; what cannot be a name is a key.
fn without_keys(path: &str) -> String {
    let name = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_[]#".contains(&byte);
        part.len() <= 64 && part.bytes().all(plain)
    };
    let parts = path.split('.').take(MAX_PATH);
    let parts = parts.map(|part| if name(part) { part } else { "*" });
    parts.collect::<Vec<_>>().join(".")
}

/// Of what is deeper, the way there is told.
const MAX_PATH: usize = 64;

/// The methods of [`I18n`], our reasons, and what would be right.
const RULES: &[(&str, &str, &str)] = &[
    (
        "alphanumeric_invalid",
        "ALPHANUMERIC",
        "must be letters and digits",
    ),
    ("ascii_invalid", "ASCII", "must be ASCII"),
    (
        "contains_missing",
        "CONTAINS",
        "must contain what is asked for",
    ),
    (
        "credit_card_invalid",
        "CREDIT_CARD",
        "must be a card number",
    ),
    ("email_invalid", "EMAIL", "must be an email address"),
    ("ip_invalid", "IP", "must be an IP address"),
    ("length_greater_than", "LENGTH", "must be shorter"),
    ("length_lower_than", "LENGTH", "must be longer"),
    (
        "matches_field_mismatch",
        "MUST_MATCH",
        "must be the same as another field",
    ),
    (
        "pattern_no_match",
        "PATTERN",
        "must have the form asked for",
    ),
    ("phone_number_invalid", "PHONE", "must be a phone number"),
    ("prefix_missing", "PREFIX", "must begin as is asked for"),
    ("range_greater_than", "RANGE", "must be less"),
    ("range_lower_than", "RANGE", "must be greater"),
    ("required_not_set", "REQUIRED", "is required"),
    ("suffix_missing", "SUFFIX", "must end as is asked for"),
    ("url_invalid", "URL", "must be a URL"),
];

#[cfg(test)]
mod tests;
