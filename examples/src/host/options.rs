//! Flags, and what they are made into.

use std::{fmt, io, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use semver::Version;
use zeroize::Zeroizing;

use super::{
    Bounds, MAX_CONNECTIONS, ProxyOptions, Quotas,
    admission::{Admission, InvalidSecret},
    fields,
};

mod redis;
mod secret_file;
mod span;

pub use redis::{
    InvalidWithoutRedis, REDIS_VARIABLE, RedisConfig, RedisOptions, RedisUrl, WithoutRedis,
};
pub use span::{InvalidSpan, Span, TokenTtl};

/// A host for plugins that speak connect-plugin-go's protocol.
///
/// Secrets are never flags: a command line is visible to every process of the machine. The admission
/// secret comes from --bootstrap-secret-file or from the environment variable
/// PLUGIN_HOST_BOOTSTRAP_SECRET; without either, one is made and printed. The address of Redis may come
/// from PLUGIN_HOST_REDIS_URL.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "plugin-host", version)]
pub struct Options {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Regular file that holds the admission secret: 16 to 1024 visible ASCII characters.
    #[arg(long, value_name = "FILE", conflicts_with = "open_admission")]
    pub bootstrap_secret_file: Option<PathBuf>,

    /// Admit everyone, by the default cookie that connect-plugin-go publishes.
    #[arg(long)]
    pub open_admission: bool,

    /// A plugin to tell of in handshakes, as NAME=VERSION=/SERVICE/PATH/; repeatable.
    #[arg(long = "plugin", value_name = "PLUGIN")]
    pub plugins: Vec<KnownPlugin>,

    /// How long a runtime token lives, as COUNT and s, m, h or d; 1m to 30d.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub token_ttl: TokenTtl,

    /// How often each kind of call is let through.
    #[command(flatten)]
    pub quotas: Quotas,

    /// Where they are kept.
    #[command(flatten)]
    pub redis: RedisOptions,

    /// Where providers are.
    #[command(flatten)]
    pub proxy: ProxyOptions,

    /// Connections of one client address at a time, 1 to 4096; a proxy in front is one address.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "256",
        value_parser = clap::value_parser!(u16).range(1..=MAX_CONNECTIONS as i64)
    )]
    pub connections_per_client: u16,

    /// How long a shutdown waits for what is in hand, as COUNT and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub drain: Span,
}

/// What the host runs on.
#[derive(Debug)]
pub struct Config {
    /// Who may join.
    pub admission: Admission,
    /// What handshakes tell of.
    pub plugins: Vec<KnownPlugin>,
    /// Where providers are.
    pub proxy: ProxyOptions,
    /// How often each kind of call is let through.
    pub quotas: Quotas,
    /// Where they are kept, if not in this process.
    pub redis: Option<RedisConfig>,
    /// How long a runtime token lives.
    pub token_ttl: Duration,
}

/// Where the admission secret comes from.
#[derive(Debug)]
pub enum SecretSource {
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

/// A plugin to tell of in handshakes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownPlugin {
    /// The name it is asked for by.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Path prefix of its RPC service.
    pub service_path: String,
}

/// The environment variable that may hold the admission secret.
pub const SECRET_VARIABLE: &str = "PLUGIN_HOST_BOOTSTRAP_SECRET";
const SECRET_FILE: &str = "--bootstrap-secret-file";

impl Options {
    /// What the connections are held to.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds {
            connections_per_client: self.connections_per_client.into(),
            drain: self.drain.0,
        }
    }

    /// Decides on the admission secret and makes the configuration.
    ///
    /// `environment` is the value of [`SECRET_VARIABLE`], if it is set.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] if more than one admission secret or address of Redis is configured, if the one
    /// that is cannot be read or used, or if there is no randomness to make a secret.
    pub fn into_config(
        self,
        environment: Option<String>,
    ) -> Result<(Config, SecretSource), OptionsError> {
        let environment = environment.map(Zeroizing::new);
        let (admission, source) =
            match (environment, self.bootstrap_secret_file, self.open_admission) {
                (Some(_), Some(_), _) | (Some(_), _, true) => return Err(OptionsError::Ambiguous),
                (None, _, true) => (Admission::open(), SecretSource::Public),
                (Some(secret), None, false) => (
                    Admission::by_secret(&secret)
                        .map_err(|cause| OptionsError::Secret(SECRET_VARIABLE, cause))?,
                    SecretSource::Environment,
                ),
                (None, Some(path), false) => (
                    Admission::by_secret(
                        secret_file::read(SECRET_FILE, &path)?.trim_end_matches(['\r', '\n']),
                    )
                    .map_err(|cause| OptionsError::Secret("the bootstrap secret file", cause))?,
                    SecretSource::File(path),
                ),
                (None, None, false) => {
                    let secret = GeneratedSecret::new()?;
                    let admission = Admission::by_secret(secret.expose())
                        .map_err(|cause| OptionsError::Secret("the generated secret", cause))?;
                    (admission, SecretSource::Generated(secret))
                }
            };
        let config = Config {
            admission,
            plugins: self.plugins,
            proxy: self.proxy,
            quotas: self.quotas,
            redis: self.redis.into_config()?,
            token_ttl: self.token_ttl.get(),
        };
        Ok((config, source))
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

impl FromStr for KnownPlugin {
    type Err = InvalidPlugin;

    fn from_str(text: &str) -> Result<Self, InvalidPlugin> {
        let mut parts = text.splitn(3, '=');
        let (Some(name), Some(version), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidPlugin(None));
        };
        fields::identifier("name", name)?;
        fields::endpoint_path("service path", path)?;
        Ok(Self {
            name: name.to_owned(),
            version: fields::version("version", version)?,
            service_path: path.to_owned(),
        })
    }
}

/// A configuration that cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum OptionsError {
    /// More than one admission secret.
    Ambiguous,
    /// More than one address of Redis.
    AmbiguousRedis,
    /// Settings for Redis, and no address of it.
    NoRedis,
    /// A password on the command line.
    Password,
    /// No randomness to make a secret.
    Randomness,
    /// The flag that names a file, and why that cannot be read.
    File(&'static str, PathBuf, io::Error),
    /// An unusable secret, and where it came from.
    Secret(&'static str, InvalidSecret),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous => write!(
                f,
                "choose one of {SECRET_VARIABLE}, --bootstrap-secret-file and --open-admission: more than one is set"
            ),
            Self::Randomness => {
                f.write_str("the operating system has no randomness for an admission secret")
            }
            Self::AmbiguousRedis => write!(
                f,
                "choose one of {REDIS_VARIABLE}, --redis-url-file and --redis: more than one is set"
            ),
            Self::NoRedis => write!(
                f,
                "--redis-leases and --redis-on-unavailable need --redis, --redis-url-file or {REDIS_VARIABLE}"
            ),
            Self::Password => write!(
                f,
                "--redis is visible to every process of the machine: name an address with credentials in {REDIS_VARIABLE} or --redis-url-file"
            ),
            Self::File(flag, path, error) => write!(f, "{flag} {}: {error}", path.display()),
            Self::Secret(origin, cause) => write!(f, "{origin} {cause}"),
        }
    }
}

impl std::error::Error for OptionsError {}

/// A `--plugin` that is no plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidPlugin(Option<fields::InvalidField>);

impl From<fields::InvalidField> for InvalidPlugin {
    fn from(field: fields::InvalidField) -> Self {
        Self(Some(field))
    }
}

impl fmt::Display for InvalidPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(field) => field.fmt(f),
            None => f.write_str("must have the form NAME=VERSION=/SERVICE/PATH/"),
        }
    }
}

impl std::error::Error for InvalidPlugin {}

#[cfg(test)]
mod tests;
