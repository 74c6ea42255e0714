//! Who may join: the one secret that is configured, or one made for the run.

use std::{fmt, path::PathBuf};

use tower_plugin_auth::admission::{BootstrapSecret, Rule};
use zeroize::Zeroizing;

use super::{OptionsError, secret_file};

/// Where the admission secret comes from.
#[derive(Debug)]
pub enum SecretSource {
    /// Whatever this file of `--admission-file` says.
    Configured(PathBuf),
    /// Made for this run.
    Generated(GeneratedSecret),
    /// The environment variable [`SECRET_VARIABLE`].
    Environment,
    /// A file.
    File(PathBuf),
    /// Everyone knows it.
    Public,
}

/// A secret made for one run; erased when dropped, hidden from `Debug`.
pub struct GeneratedSecret(Zeroizing<String>);

/// The environment variable that may hold the admission secret.
pub const SECRET_VARIABLE: &str = "PLUGIN_HOST_BOOTSTRAP_SECRET";
const SECRET_FILE: &str = "--bootstrap-secret-file";

/// Decides on the secret; `environment` is the value of [`SECRET_VARIABLE`], if it is set.
pub(super) fn rule(
    environment: Option<&str>,
    file: Option<PathBuf>,
    open: bool,
) -> Result<(Rule, SecretSource), OptionsError> {
    let by_secret = |origin, secret: &str| {
        let secret = BootstrapSecret::new(secret);
        let secret = secret.map_err(|cause| OptionsError::Secret(origin, cause))?;
        Ok(Rule::Secret(secret))
    };
    match (environment, file, open) {
        (None, None, true) => Ok((Rule::Open, SecretSource::Public)),
        (Some(secret), None, false) => {
            let rule = by_secret(SECRET_VARIABLE, secret)?;
            Ok((rule, SecretSource::Environment))
        }
        (None, Some(path), false) => {
            let text = secret_file::read(SECRET_FILE, &path)?;
            let secret = text.trim_end_matches(['\r', '\n']);
            let rule = by_secret("the bootstrap secret file", secret)?;
            Ok((rule, SecretSource::File(path)))
        }
        (None, None, false) => {
            let secret = GeneratedSecret::new()?;
            let rule = by_secret("the generated secret", secret.expose())?;
            Ok((rule, SecretSource::Generated(secret)))
        }
        _ => Err(OptionsError::Ambiguous),
    }
}

impl GeneratedSecret {
    fn new() -> Result<Self, OptionsError> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|_| OptionsError::Randomness)?;
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in random.iter() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        Ok(Self(text))
    }

    /// The secret itself, for its one appearance.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for GeneratedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedSecret(..)")
    }
}
