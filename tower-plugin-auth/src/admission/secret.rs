//! Engine: admission by a secret that callers share.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::InvalidConfig;

/// A secret that the operator hands to everyone who may join. Its digest is kept, not the secret.
///
/// It is sent under a name, as connect-plugin-go's magic cookie is; name and value have to match, and comparing
/// takes as long for a near miss as for a wild guess. To replace a secret without an interruption, let
/// [`Rule::AnyOf`](super::Rule::AnyOf) hold the old one and the new one for a while.
///
/// ```
/// use tower_plugin_auth::admission::BootstrapSecret;
///
/// assert!(BootstrapSecret::new("correct-horse-battery-staple").is_ok());
/// // The value that connect-plugin-go publishes as its default would admit everyone.
/// assert!(BootstrapSecret::new("d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e").is_err());
/// ```
#[derive(Clone)]
pub struct BootstrapSecret {
    digest: [u8; 32],
}

impl BootstrapSecret {
    /// The name connect-plugin-go's callers send it under.
    pub const NAME: &str = "CONNECT_PLUGIN";

    /// A secret sent under [`NAME`](Self::NAME).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it is not 16 to 1024 visible ASCII characters, holds a quote or a backslash (it would
    /// not survive JSON, a shell and an environment unchanged), or is the published default.
    pub fn new(value: &str) -> Result<Self, InvalidConfig> {
        Self::named(Self::NAME, value)
    }

    /// A secret sent under another name.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the name is not 1 to 64 letters, digits, `_` and `-`.
    pub fn named(name: &str, value: &str) -> Result<Self, InvalidConfig> {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(in_name) {
            return Err(INVALID_NAME);
        }
        let survives = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte);
        if !(16..=1024).contains(&value.len()) || !value.bytes().all(survives) {
            return Err(INVALID_SECRET);
        }
        if value.eq_ignore_ascii_case(PUBLISHED) {
            return Err(PUBLISHED_SECRET);
        }
        Ok(Self {
            digest: digest(name, value),
        })
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.digest.ct_eq(&digest(name, value)).into()
    }
}

impl fmt::Debug for BootstrapSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapSecret").finish_non_exhaustive()
    }
}

// The length keeps ("ab", "c") apart from ("a", "bc").
fn digest(name: &str, value: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((name.len() as u64).to_be_bytes());
    hash.update(name);
    hash.update(value);
    hash.finalize().into()
}

/// What connect-plugin-go's callers send unless told otherwise.
const PUBLISHED: &str = "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e";

const INVALID_NAME: InvalidConfig = InvalidConfig::new(
    "bootstrap_secret_name",
    "1 to 64 letters, digits, '_' and '-'",
);
const INVALID_SECRET: InvalidConfig = InvalidConfig::new(
    "bootstrap_secret",
    "16 to 1024 visible ASCII characters without quotes and backslashes",
);
const PUBLISHED_SECRET: InvalidConfig = InvalidConfig::new(
    "bootstrap_secret",
    "other than the default that connect-plugin-go publishes",
);

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "correct-horse-battery";

    #[test]
    fn f02_only_name_and_value_together_admit() {
        let secret = BootstrapSecret::new(VALUE).unwrap();
        assert!(secret.is(BootstrapSecret::NAME, VALUE));
        for (name, value) in [
            (BootstrapSecret::NAME, ""),
            (BootstrapSecret::NAME, "correct-horse-batterx"),
            (BootstrapSecret::NAME, "correct-horse-batter"),
            (BootstrapSecret::NAME, "correct-horse-batteryy"),
            (BootstrapSecret::NAME, "Correct-horse-battery"),
            (BootstrapSecret::NAME, PUBLISHED),
            ("", VALUE),
            ("connect_plugin", VALUE),
            ("CONNECT_PLUGI", "Ncorrect-horse-battery"),
        ] {
            assert!(!secret.is(name, value), "{name:?} {value:?}");
        }
    }

    #[test]
    fn f13_a_secret_has_a_name_and_a_name_has_a_secret() {
        for (name, value, field) in [
            ("", VALUE, "bootstrap_secret_name"),
            (" ", VALUE, "bootstrap_secret_name"),
            ("A=B", VALUE, "bootstrap_secret_name"),
            (&"N".repeat(65), VALUE, "bootstrap_secret_name"),
            ("MY_PLUGIN", "", "bootstrap_secret"),
        ] {
            let error = BootstrapSecret::named(name, value).unwrap_err();
            assert_eq!(error.field(), field, "{name:?} {value:?}");
        }
        let secret = BootstrapSecret::named("MY_PLUGIN", VALUE).unwrap();
        assert!(secret.is("MY_PLUGIN", VALUE));
        // The value alone, under the default's name, used to be taken for the default cookie.
        assert!(!secret.is(BootstrapSecret::NAME, VALUE));
        assert!(!secret.is(BootstrapSecret::NAME, PUBLISHED));
    }

    #[test]
    fn secrets_that_would_be_mangled_or_guessed_are_refused() {
        for value in [
            "",
            "fifteen-letters",
            &"x".repeat(1025),
            "with space in it",
            "with-\"quote\"-in-it",
            "with-'quote'-in-it",
            "with-\\-backslash",
            "with-newline-in-it\n",
            PUBLISHED,
            &PUBLISHED.to_uppercase(),
        ] {
            let error = BootstrapSecret::new(value).unwrap_err();
            assert_eq!(error.field(), "bootstrap_secret", "{value:?}");
        }
        assert!(BootstrapSecret::new(&"x".repeat(1024)).is_ok());
        assert!(BootstrapSecret::new("sixteen-letters-").is_ok());
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let shown = format!("{:?}", BootstrapSecret::new(VALUE).unwrap());
        assert_eq!(shown, "BootstrapSecret { .. }");
    }
}
