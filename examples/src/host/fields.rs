//! Engine: what a message field may hold.
//!
//! One matcher a kind, linear in the input, no regular expressions. A refusal names the field and the
//! rule, never the value.

use std::fmt;

/// Most metadata entries in one message.
pub const MAX_METADATA_ENTRIES: usize = 100;
/// Longest metadata key, in bytes.
pub const MAX_METADATA_KEY: usize = 256;
/// Longest metadata value, in bytes.
pub const MAX_METADATA_VALUE: usize = 4096;
/// Keys and values of one message together, in bytes.
pub const MAX_METADATA_TOTAL: usize = 64 * 1024;
/// Longest service type, plugin name or self id, in bytes.
pub const MAX_IDENTIFIER: usize = 128;
/// Longest version, in bytes.
pub const MAX_VERSION: usize = 64;
/// Longest endpoint path, in bytes.
pub const MAX_ENDPOINT_PATH: usize = 256;
/// Longest free text, e.g. the reason of a health report, in bytes.
pub const MAX_TEXT: usize = 1024;
/// Most items of a repeated field.
pub const MAX_ITEMS: usize = 64;

/// A field that breaks its rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidField {
    field: &'static str,
    rule: Rule,
}

/// The rule a field broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Must not be empty.
    Empty,
    /// May hold at most so many bytes.
    TooLong(usize),
    /// May hold at most so many entries.
    TooMany(usize),
    /// Must have the described form.
    Form(&'static str),
}

impl InvalidField {
    /// The field's name on the wire.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The rule it broke.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, rule } = self;
        match rule {
            Rule::Empty => write!(f, "{field} must not be empty"),
            Rule::TooLong(limit) => write!(f, "{field} exceeds {limit} bytes"),
            Rule::TooMany(limit) => write!(f, "{field} exceeds {limit} entries"),
            Rule::Form(form) => write!(f, "{field} must be {form}"),
        }
    }
}

impl std::error::Error for InvalidField {}

/// Accepts a letter followed by letters, digits, `_`, `-` and single inner dots: a service type, a
/// plugin's name or its self id. Such a name is safe as one path segment.
///
/// # Errors
///
/// [`InvalidField`] if it is empty, longer than [`MAX_IDENTIFIER`] or of another form.
pub fn identifier(field: &'static str, value: &str) -> Result<(), InvalidField> {
    length(field, value, MAX_IDENTIFIER)?;
    check(field, is_identifier(value.as_bytes()), IDENTIFIER_FORM)
}

/// Accepts a semantic version (<https://semver.org>).
///
/// # Errors
///
/// [`InvalidField`] if it is empty, longer than [`MAX_VERSION`] or of another form.
pub fn version(field: &'static str, value: &str) -> Result<semver::Version, InvalidField> {
    length(field, value, MAX_VERSION)?;
    semver::Version::parse(value).map_err(|_| InvalidField {
        field,
        rule: Rule::Form("a semantic version such as 1.4.0"),
    })
}

/// Accepts an absolute path of plain segments: unreserved characters only, no empty, `.` or `..`
/// segment, a trailing slash allowed. So it reads the same before and after any decoding.
///
/// # Errors
///
/// [`InvalidField`] if it is empty, longer than [`MAX_ENDPOINT_PATH`] or of another form.
pub fn endpoint_path(field: &'static str, value: &str) -> Result<(), InvalidField> {
    length(field, value, MAX_ENDPOINT_PATH)?;
    let plain = value.strip_prefix('/').is_some_and(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        rest.is_empty() && value == "/" || rest.split('/').all(is_plain_segment)
    });
    check(
        field,
        plain,
        "an absolute path of plain segments such as /cache.v1.Cache/",
    )
}

/// Accepts metadata: at most [`MAX_METADATA_ENTRIES`] entries of at most [`MAX_METADATA_TOTAL`] bytes
/// together, keys like [identifiers](identifier) but longer, values without control characters.
///
/// # Errors
///
/// [`InvalidField`] if a limit or a form is broken.
pub fn metadata<'a>(
    field: &'static str,
    entries: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Result<(), InvalidField> {
    if entries.len() > MAX_METADATA_ENTRIES {
        return Err(InvalidField {
            field,
            rule: Rule::TooMany(MAX_METADATA_ENTRIES),
        });
    }
    let mut total = 0_usize;
    for (key, value) in entries {
        if key.len() > MAX_METADATA_KEY || value.len() > MAX_METADATA_VALUE {
            let limit = if key.len() > MAX_METADATA_KEY {
                MAX_METADATA_KEY
            } else {
                MAX_METADATA_VALUE
            };
            return Err(InvalidField {
                field,
                rule: Rule::TooLong(limit),
            });
        }
        total = total.saturating_add(key.len()).saturating_add(value.len());
        check(
            field,
            is_identifier(key.as_bytes()),
            "keyed by letters, digits and single . _ -",
        )?;
        check(field, !has_control(value), "free of control characters")?;
    }
    if total > MAX_METADATA_TOTAL {
        return Err(InvalidField {
            field,
            rule: Rule::TooLong(MAX_METADATA_TOTAL),
        });
    }
    Ok(())
}

/// Accepts free text of at most [`MAX_TEXT`] bytes without control characters; it may be empty.
///
/// # Errors
///
/// [`InvalidField`] if it is longer or holds a control character.
pub fn text(field: &'static str, value: &str) -> Result<(), InvalidField> {
    if value.len() > MAX_TEXT {
        return Err(InvalidField {
            field,
            rule: Rule::TooLong(MAX_TEXT),
        });
    }
    check(field, !has_control(value), "free of control characters")
}

/// Accepts at most [`MAX_ITEMS`] [identifiers](identifier).
///
/// # Errors
///
/// [`InvalidField`] if there are more or one is no identifier.
pub fn identifiers<'a>(
    field: &'static str,
    values: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), InvalidField> {
    if values.len() > MAX_ITEMS {
        return Err(InvalidField {
            field,
            rule: Rule::TooMany(MAX_ITEMS),
        });
    }
    values
        .into_iter()
        .try_for_each(|value| identifier(field, value))
}

fn length(field: &'static str, value: &str, limit: usize) -> Result<(), InvalidField> {
    match value.len() {
        0 => Err(InvalidField {
            field,
            rule: Rule::Empty,
        }),
        length if length > limit => Err(InvalidField {
            field,
            rule: Rule::TooLong(limit),
        }),
        _ => Ok(()),
    }
}

fn check(field: &'static str, holds: bool, form: &'static str) -> Result<(), InvalidField> {
    holds.then_some(()).ok_or(InvalidField {
        field,
        rule: Rule::Form(form),
    })
}

fn is_identifier(value: &[u8]) -> bool {
    value.first().is_some_and(u8::is_ascii_alphabetic)
        && value.last() != Some(&b'.')
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !value.windows(2).any(|pair| pair == b"..")
}

fn is_plain_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~'))
}

// C0, DEL and C1: a terminal obeys all of them.
fn has_control(value: &str) -> bool {
    value.chars().any(char::is_control)
}

const IDENTIFIER_FORM: &str = "a letter followed by letters, digits, _, - and single dots";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_safe_path_segments() {
        for good in [
            "a",
            "cache",
            "cache-plugin",
            "kv.v1.KVService",
            "A_9",
            &"a".repeat(128),
        ] {
            assert_eq!(identifier("f", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "1a",
            "-a",
            ".a",
            "a.",
            "a..b",
            "a/b",
            "a b",
            "a%2e",
            "a\\b",
            "é",
            "a\0",
            "a\n",
            &"a".repeat(129),
        ] {
            assert!(identifier("f", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_are_real_semver() {
        for good in ["1.0.0", "1.0.0-rc.1", "1.0.0+build.5", "10.20.30"] {
            assert!(version("f", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1",
            "1.0",
            "01.02.03",
            "1.0.0-..",
            "v1.0.0",
            "1.0.0 ",
            "99999999999999999999.0.0",
            &format!("1.0.0-{}", "a".repeat(60)),
        ] {
            assert!(version("f", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn endpoint_paths_have_one_reading() {
        for good in ["/", "/cache.v1.Cache/", "/a/b", "/a~b/c-d_e"] {
            assert_eq!(endpoint_path("f", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "//evil",
            "/a//b",
            "/a//",
            "/../admin",
            "/a/..",
            "/a/./b",
            "/x?y=1",
            "/x#f",
            "/\\x",
            "/a%2fb",
            "/a\r\n",
            "/é",
            "/a;b",
            &format!("/{}", "a".repeat(256)),
        ] {
            assert!(endpoint_path("f", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn metadata_is_limited_entry_by_entry_and_in_total() {
        let check = |entries: &[(&str, &str)]| metadata("f", entries.iter().copied());
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(
            check(&[
                ("base_url", "http://localhost:8082"),
                ("k", ""),
                ("u", "größe")
            ]),
            Ok(())
        );
        let long_key = "k".repeat(257);
        let long_value = "v".repeat(4097);
        for bad in [
            ("", "v"),
            ("k ", "v"),
            ("k", "a\r\nb"),
            ("k", "\u{1b}[2J"),
            ("k", "\u{9b}"),
            ("k", "\0"),
            (&long_key, "v"),
            ("k", &long_value),
        ] {
            assert!(check(&[bad]).is_err(), "{:?}", bad.0);
        }
        assert_eq!(check(&[("k", "v"); 100]), Ok(()));
        assert!(check(&[("k", "v"); 101]).is_err());
        let full = "v".repeat(4096);
        assert_eq!(check(&[("k", full.as_str()); 15]), Ok(()));
        assert!(check(&[("k", full.as_str()); 16]).is_err());
    }

    #[test]
    fn a_refusal_never_repeats_the_value() {
        for refusal in [
            identifier("self_id", "s3cr3t/").unwrap_err(),
            text("reason", "s3cr3t\n").unwrap_err(),
        ] {
            assert!(!format!("{refusal} {refusal:?}").contains("s3cr3t"));
        }
    }
}
