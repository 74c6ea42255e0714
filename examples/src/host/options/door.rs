//! Who may join, beside those who know the secret.

use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tower_plugin_auth::admission::{
    AdmissionConfig, Rule,
    manifest::{ManifestPolicy, TrustedKeys},
};

use super::OptionsError;
use crate::{
    host::{
        admission::{Door, Listed},
        gaps::{NO_WATERMARK, UNTRUSTED_AUTHORS},
    },
    regular_file,
};

/// What is asked of a plugin beside the admission secret.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Admission")]
pub struct DoorOptions {
    /// Admit only plugins in this signed manifest that know the secret as well. It is read again on SIGHUP.
    ///
    /// A handshake tells the version, and in its metadata the SHA-256 and the size of the program
    /// (artifact-sha256, artifact-size); `manifest` makes and signs such files.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,

    /// A key that signs manifests, as ID=BASE64 of its 32 bytes; repeatable.
    #[arg(long = "trusted-key", value_name = "KEY", value_delimiter = ',')]
    pub trusted_keys: Vec<TrustedKey>,

    /// An author whose plugins are admitted, as manifests name him; repeatable.
    #[arg(long = "trusted-author", value_name = "NAME")]
    pub trusted_authors: Vec<String>,

    /// File that remembers the last manifest, so that an older one is refused after a restart, too.
    #[arg(long, value_name = "FILE")]
    pub manifest_watermark: Option<PathBuf>,

    /// TOML file that says all there is to say of admission, in the place of the secret and the manifest:
    /// the keys of `AdmissionConfig`.
    #[arg(long, value_name = "FILE")]
    pub admission_file: Option<PathBuf>,

    /// Admissions at a time, 1 to 1024; one more is told to come back. An --admission-file says it itself.
    #[arg(
        long = "concurrent-admissions",
        value_name = "COUNT",
        default_value = "3",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub concurrent: u16,
}

/// A key that signs manifests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedKey {
    id: Box<str>,
    key: [u8; 32],
}

impl DoorOptions {
    /// The door for who meets this rule, and whatever else is asked.
    pub(super) fn door(&self, rule: Rule) -> Result<Door, OptionsError> {
        let door = match &self.manifest {
            Some(_) if matches!(rule, Rule::Open) => return Err(OptionsError::OpenManifest),
            Some(path) => Door::by_rule_and_manifest(
                rule,
                Listed {
                    path: path.clone(),
                    watermark: self.manifest_watermark.clone(),
                    policy: self.policy()?,
                },
            ),
            None if self.says_of_manifests() => return Err(OptionsError::NoManifest),
            None => Door::by(rule),
        };
        Ok(door.with_max_concurrent(self.concurrent.into()))
    }

    /// The door that the file describes, if there is one; `secret` is whether one is configured elsewhere.
    pub(super) fn of_file(&self, secret: bool) -> Result<Option<(Door, PathBuf)>, OptionsError> {
        let Some(path) = &self.admission_file else {
            return Ok(None);
        };
        if secret || self.manifest.is_some() || self.says_of_manifests() {
            return Err(OptionsError::AmbiguousAdmission);
        }
        let text = read(path)
            .map_err(|error| OptionsError::File("--admission-file", path.clone(), error))?;
        // The parser's own words would show the line, whatever is in it.
        let config: AdmissionConfig = toml::from_str(&text)
            .map_err(|error| OptionsError::AdmissionFile(error.message().to_owned()))?;
        let builder = config
            .builder()
            .map_err(|error| OptionsError::AdmissionFile(error.to_string()))?;
        let door = gaps(&text)
            .into_iter()
            .fold(Door::from_builder(builder), Door::with_gap);
        Ok(Some((door, path.clone())))
    }

    fn says_of_manifests(&self) -> bool {
        !self.trusted_keys.is_empty()
            || !self.trusted_authors.is_empty()
            || self.manifest_watermark.is_some()
    }

    fn policy(&self) -> Result<ManifestPolicy, OptionsError> {
        let keys = self.trusted_keys.iter();
        let keys = keys
            .clone()
            .try_fold(TrustedKeys::new(), |keys, TrustedKey { id, key }| {
                keys.with_key(id, key)
            })
            .map_err(OptionsError::TrustedKey)?;
        let authors = self.trusted_authors.iter().map(String::as_str);
        Ok(authors.fold(ManifestPolicy::new(keys), |policy, author| {
            policy.with_trusted_author(author)
        }))
    }
}

/// What an admission file leaves off.
fn gaps(text: &str) -> Vec<&'static str> {
    let said: toml::Table = toml::from_str(text).unwrap_or_default();
    let is_on = |key: &str| said.get(key).and_then(toml::Value::as_bool) == Some(true);
    let forgets =
        said.contains_key("manifest_path") && !said.contains_key("manifest_watermark_path");
    [
        (forgets, NO_WATERMARK),
        (is_on("allow_untrusted"), UNTRUSTED_AUTHORS),
    ]
    .into_iter()
    .filter_map(|(is_left_off, what)| is_left_off.then_some(what))
    .collect()
}

/// The text of a regular file of a bounded length.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = regular_file::open(path)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE {
        true => Err(io::Error::other("more than 1 MiB")),
        false => Ok(text),
    }
}

const MAX_FILE: u64 = 1 << 20;

impl FromStr for TrustedKey {
    type Err = InvalidTrustedKey;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedKey> {
        let (id, key) = text.split_once('=').ok_or(InvalidTrustedKey)?;
        let key = STANDARD.decode(key).map_err(|_| InvalidTrustedKey)?;
        Ok(Self {
            id: id.into(),
            key: key.try_into().map_err(|_| InvalidTrustedKey)?,
        })
    }
}

/// A `--trusted-key` that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidTrustedKey;

impl fmt::Display for InvalidTrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must have the form ID=BASE64, with a public key of 32 bytes")
    }
}

impl std::error::Error for InvalidTrustedKey {}
