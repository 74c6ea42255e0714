//! Keys that come from a file or the environment.

use std::{convert::Infallible, fmt, path::Path, str::FromStr};

use tower_plugin_auth::token::{KeyRing, Pepper};
use zeroize::Zeroizing;

use super::{OptionsError, secret_file};

/// Keys, each with its number, the active one first. Erased when dropped, hidden from `Debug`.
#[derive(Clone)]
pub struct Keys(Vec<(u32, Zeroizing<[u8; 32]>)>);

/// A text that holds a secret: erased when dropped, hidden from `Debug`.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

/// Where keys may come from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) flag: &'static str,
    pub(super) variable: &'static str,
}

impl Keys {
    /// From the one place that is set, if any is.
    pub(super) fn load(
        origin: Origin,
        file: Option<&Path>,
        environment: Option<&SecretText>,
    ) -> Result<Option<Self>, OptionsError> {
        let Origin { flag, variable } = origin;
        let (from, text) = match (file, environment) {
            (None, None) => return Ok(None),
            (Some(path), None) => (flag, secret_file::read(flag, path)?),
            (None, Some(text)) => (variable, text.0.clone()),
            (Some(_), Some(_)) => return Err(OptionsError::AmbiguousKeys(flag, variable)),
        };
        // What is wrong is not repeated: it may be all of a key but a digit.
        let keys = Self::parse(&text).ok_or(OptionsError::Keys(from))?;
        Ok(Some(keys))
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let keys = Self(lines.map(key).collect::<Option<_>>()?);
        keys.ring().map(|_| keys)
    }

    /// A ring of all of them; `None` if there is none, or two of one number.
    pub(in crate::host) fn ring(&self) -> Option<KeyRing> {
        let peppers = self.0.iter();
        let mut peppers = peppers.map(|(version, key)| Pepper::new(*version, &key[..]));
        let active = peppers.next()?.ok()?;
        KeyRing::new(active, peppers.collect::<Result<Vec<_>, _>>().ok()?).ok()
    }
}

/// A number, a space and 64 hexadecimal digits.
fn key(line: &str) -> Option<(u32, Zeroizing<[u8; 32]>)> {
    let (version, digits) = line.trim().split_once(' ')?;
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((version.parse().ok()?, key))
}

// What it says is not looked at here: whoever finds a fault in it would print it.
impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self.0.iter().map(|(version, _)| version);
        f.debug_set().entries(versions).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_lines_and_the_first_is_the_active_one() {
        let (one, two) = ("0a".repeat(32), "0B".repeat(32));
        let keys = Keys::parse(&format!("7 {one}\n\n 3 {two}\r\n")).unwrap();
        assert_eq!(keys.ring().unwrap().active(), 7);
        assert_eq!(format!("{keys:?}"), "{7, 3}");
        for text in [
            String::new(),
            one.clone(),
            format!("1 {}", &one[1..]),
            format!("1 {one}0"),
            format!("-1 {one}"),
            format!("1 {}x", &one[1..]),
            format!("1 {one}\n1 {two}"),
        ] {
            assert!(Keys::parse(&text).is_none(), "{text}");
        }
    }
}
