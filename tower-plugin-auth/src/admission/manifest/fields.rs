//! Engine: what the fields of a manifest may hold.

use std::str::FromStr;

use super::{ManifestError, Timestamp};

pub(super) fn text(
    field: &'static str,
    value: Option<String>,
    allowed: &'static str,
    is_allowed: impl Fn(&str) -> bool,
) -> Result<Box<str>, ManifestError> {
    let value = value.ok_or_else(|| ManifestError::missing(field))?;
    match is_allowed(&value) {
        true => Ok(value.into()),
        false => Err(ManifestError::invalid(field, allowed)),
    }
}

/// Go writes "" for what is not known.
pub(super) fn optional(
    field: &'static str,
    value: Option<String>,
) -> Result<Option<Box<str>>, ManifestError> {
    let value = value.filter(|value| !value.is_empty());
    value
        .map(|value| text(field, Some(value), WORDS, is_words))
        .transpose()
}

pub(super) fn time(
    field: &'static str,
    value: Option<String>,
) -> Result<Option<Timestamp>, ManifestError> {
    let value = value.filter(|value| !value.is_empty());
    value
        .map(|value| {
            Timestamp::from_str(&value)
                .map_err(|_| ManifestError::invalid(field, "as in 2026-01-31T23:30:00Z"))
        })
        .transpose()
}

/// Visible to whoever reads a log, and no more than they want to read.
pub(super) fn is_words(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.trim() == text && !text.chars().any(is_hidden)
}

/// Controls, and what turns or hides the text around it.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        )
}

pub(super) fn is_version(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// One segment of a path on every system, which no shell takes for an option.
pub(super) fn is_filename(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@ ".contains(&byte);
    let begins_well = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.len() <= 255
        && begins_well
        && text.bytes().all(allowed)
        && !text.contains("..")
        && !text.ends_with(['.', ' '])
}

pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(bytes)
}

pub(super) const MAX_DEPENDENCIES: usize = 64;
pub(super) const SELF_ID: &str =
    "a letter, then letters, digits, '.', '_', '-' and spaces, at most 128";
pub(super) const VERSION: &str = "1 to 64 letters, digits, '.', '+', '-' and '_'";
pub(super) const FILENAME: &str =
    "1 to 255 letters, digits, '.', '_', '-', '+', '@' and spaces, without a path and without '..'";
pub(super) const WORDS: &str = "1 to 128 visible characters";
