//! Engine: who may join.
//!
//! A plugin is admitted by a shared secret, which it sends as the handshake's magic cookie.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Name of the admission secret in the handshake.
pub const COOKIE_KEY: &str = "CONNECT_PLUGIN";
/// The value connect-plugin-go publishes as its default: known to everyone, so it admits everyone.
pub const PUBLIC_COOKIE: &str = "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e";

/// The rule of admission. Holds a digest, not the secret.
#[derive(Clone)]
pub struct Admission {
    cookie: [u8; 32],
    open: bool,
}

/// A secret that cannot be used for admission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidSecret {
    /// Shorter or longer than allowed.
    Length,
    /// Holds a character that would not survive JSON, a shell and an environment unchanged.
    Character,
    /// The published default.
    Public,
}

impl Admission {
    /// Admits those who know `secret`.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] if it is not 16 to 1024 visible ASCII characters, holds a quote or a
    /// backslash, or is the published default.
    pub fn by_secret(secret: &str) -> Result<Self, InvalidSecret> {
        if !(MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
            return Err(InvalidSecret::Length);
        }
        if !secret
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'))
        {
            return Err(InvalidSecret::Character);
        }
        if secret == PUBLIC_COOKIE {
            return Err(InvalidSecret::Public);
        }
        Ok(Self {
            cookie: digest(COOKIE_KEY, secret),
            open: false,
        })
    }

    /// Admits those who send the published default: everyone.
    #[must_use]
    pub fn open() -> Self {
        Self {
            cookie: digest(COOKIE_KEY, PUBLIC_COOKIE),
            open: true,
        }
    }

    /// Whether everyone is admitted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether this cookie admits. Takes as long for a near miss as for a wild guess.
    #[must_use]
    pub fn admits(&self, key: &str, value: &str) -> bool {
        self.cookie.ct_eq(&digest(key, value)).into()
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "must have {MIN_SECRET} to {MAX_SECRET} characters"),
            Self::Character => f.write_str("must be visible ASCII without quotes and backslashes"),
            Self::Public => {
                f.write_str("is the published default cookie, which only --open-admission accepts")
            }
        }
    }
}

impl std::error::Error for InvalidSecret {}

// The length keeps ("ab", "c") apart from ("a", "bc").
fn digest(key: &str, value: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.finalize().into()
}

const MIN_SECRET: usize = 16;
const MAX_SECRET: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_key_and_value_together_admit() {
        let secret = "correct-horse-battery";
        let admission = Admission::by_secret(secret).unwrap();
        assert!(admission.admits(COOKIE_KEY, secret));
        for (key, value) in [
            (COOKIE_KEY, ""),
            (COOKIE_KEY, "correct-horse-batterx"),
            (COOKIE_KEY, "correct-horse-batter"),
            (COOKIE_KEY, "correct-horse-batteryy"),
            (COOKIE_KEY, PUBLIC_COOKIE),
            ("", secret),
            ("CONNECT_PLUGI", "Ncorrect-horse-battery"),
        ] {
            assert!(!admission.admits(key, value), "{key:?} {value:?}");
        }
        assert!(Admission::open().admits(COOKIE_KEY, PUBLIC_COOKIE));
    }

    #[test]
    fn secrets_that_would_be_mangled_or_guessed_are_refused() {
        for (secret, refusal) in [
            ("", InvalidSecret::Length),
            ("fifteen-letters", InvalidSecret::Length),
            (&"x".repeat(1025), InvalidSecret::Length),
            ("with space in it", InvalidSecret::Character),
            ("with-\"quote\"-in-it", InvalidSecret::Character),
            ("with-'quote'-in-it", InvalidSecret::Character),
            ("with-\\-backslash", InvalidSecret::Character),
            ("with-newline-in-it\n", InvalidSecret::Character),
            (PUBLIC_COOKIE, InvalidSecret::Public),
        ] {
            assert_eq!(
                Admission::by_secret(secret).unwrap_err(),
                refusal,
                "{secret:?}"
            );
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let shown = format!(
            "{:?}",
            Admission::by_secret("correct-horse-battery").unwrap()
        );
        assert_eq!(shown, "Admission { open: false, .. }");
    }
}
