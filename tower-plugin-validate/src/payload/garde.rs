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
/// Of a rule that is not `garde`'s own the caller is told that it was broken, and not in which words:
/// there is no telling whether they hold a value. For words of your own, implement [`Check`].
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
    fn length_lower_than(&self, min: usize) -> Cow<'static, str> {
        marked("LENGTH", format_args!("must be at least {min} long"))
    }

    fn length_greater_than(&self, max: usize) -> Cow<'static, str> {
        marked("LENGTH", format_args!("must be at most {max} long"))
    }

    fn range_lower_than(&self, min: &dyn Display) -> Cow<'static, str> {
        marked("RANGE", format_args!("must be at least {}", number(min)))
    }

    fn range_greater_than(&self, max: &dyn Display) -> Cow<'static, str> {
        marked("RANGE", format_args!("must be at most {}", number(max)))
    }

    fn credit_card_invalid(&self, _: InvalidCreditCard) -> Cow<'static, str> {
        marked("CREDIT_CARD", format_args!("must be a card number"))
    }

    fn pattern_no_match(&self, _: &dyn Display) -> Cow<'static, str> {
        marked("PATTERN", format_args!("must have the form asked for"))
    }

    fn contains_missing(&self, _: &dyn Display) -> Cow<'static, str> {
        marked("CONTAINS", format_args!("must contain what is asked for"))
    }

    fn url_invalid(&self, _: InvalidUrl) -> Cow<'static, str> {
        marked("URL", format_args!("must be a URL"))
    }

    fn prefix_missing(&self, _: &dyn Display) -> Cow<'static, str> {
        marked("PREFIX", format_args!("must begin as is asked for"))
    }

    fn suffix_missing(&self, _: &dyn Display) -> Cow<'static, str> {
        marked("SUFFIX", format_args!("must end as is asked for"))
    }

    fn phone_number_invalid(&self, _: InvalidPhoneNumber) -> Cow<'static, str> {
        marked("PHONE", format_args!("must be a phone number"))
    }

    fn ip_invalid(&self, _: IpKind) -> Cow<'static, str> {
        marked("IP", format_args!("must be an IP address"))
    }

    fn matches_field_mismatch(&self, _: &dyn Display) -> Cow<'static, str> {
        marked(
            "MUST_MATCH",
            format_args!("must be the same as another field"),
        )
    }

    fn email_invalid(&self, _: InvalidEmail) -> Cow<'static, str> {
        marked("EMAIL", format_args!("must be an email address"))
    }

    fn ascii_invalid(&self) -> Cow<'static, str> {
        marked("ASCII", format_args!("must be ASCII"))
    }

    fn alphanumeric_invalid(&self) -> Cow<'static, str> {
        marked("ALPHANUMERIC", format_args!("must be letters and digits"))
    }

    fn required_not_set(&self) -> Cow<'static, str> {
        marked("REQUIRED", format_args!("is required"))
    }
}

fn marked(reason: &str, description: std::fmt::Arguments<'_>) -> Cow<'static, str> {
    format!("{MARK}{reason}{MARK}{description}").into()
}

fn ours(message: &str) -> (&'static str, Cow<'static, str>) {
    let parts = message
        .strip_prefix(MARK)
        .and_then(|rest| rest.split_once(MARK));
    parts
        .and_then(|(name, description)| {
            let reason = REASONS.iter().find(|reason| **reason == name)?;
            Some((*reason, description.to_owned().into()))
        })
        .unwrap_or(("INVALID", "is not valid".into()))
}

/// A bound may be computed from another field; numbers are all it may say then.
fn number(bound: &dyn Display) -> String {
    let text = bound.to_string();
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.e".contains(&byte);
    match text.len() <= 40 && text.bytes().all(plain) {
        true => text,
        false => "its bound".to_owned(),
    }
}

/// `garde` does not tell names of fields from keys of a map; what cannot be a name is a key.
fn without_keys(path: &str) -> String {
    let name = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_[]#".contains(&byte);
        part.len() <= 64 && part.bytes().all(plain)
    };
    let parts = path
        .split('.')
        .map(|part| if name(part) { part } else { "*" });
    parts.collect::<Vec<_>>().join(".")
}

const MARK: char = '\u{1}';

const REASONS: &[&str] = &[
    "ALPHANUMERIC",
    "ASCII",
    "CONTAINS",
    "CREDIT_CARD",
    "EMAIL",
    "IP",
    "LENGTH",
    "MUST_MATCH",
    "PATTERN",
    "PHONE",
    "PREFIX",
    "RANGE",
    "REQUIRED",
    "SUFFIX",
    "URL",
];
