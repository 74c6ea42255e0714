//! Where the quotas are kept, if not in this process.

use std::{convert::Infallible, fmt, net::IpAddr, path::PathBuf, str::FromStr};

use tower_plugin_ratelimit::redis::OnUnavailable;
use zeroize::Zeroizing;

use super::{OptionsError, secret_file};

/// One limit for all copies of the host, on Redis.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Redis")]
pub struct RedisOptions {
    /// Keep quotas, tokens and grants in the Redis at this address, so that copies of the host behave as one:
    /// redis://HOST:PORT, rediss:// or redis+unix:///PATH.
    ///
    /// A password is no flag: an address with one comes from --redis-url-file or from the environment
    /// variable PLUGIN_HOST_REDIS_URL.
    #[arg(long = "redis", value_name = "URL")]
    pub url: Option<RedisUrl>,

    /// Regular file that holds the address of Redis.
    #[arg(long = "redis-url-file", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// The value of [`REDIS_VARIABLE`], if it is set.
    #[arg(skip)]
    pub environment: Option<RedisUrl>,

    /// Let copies decide by themselves about so many percent of each burst, 1 to 50. Without this they
    /// ask for every request that is let through.
    #[arg(
        long = "redis-leases",
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(1..=50)
    )]
    pub leases: Option<u8>,

    /// What to do while Redis does not answer: allow, deny, local:COPIES (each copy its part of every
    /// quota) or floor:PERCENT:COPIES (each copy its part of so much, always). [default: local:2]
    #[arg(long = "redis-on-unavailable", value_name = "WHAT")]
    pub on_unavailable: Option<WithoutRedis>,
}

/// Redis, as it is to be used.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Its address.
    pub url: RedisUrl,
    /// Percent of each burst that copies may decide about by themselves.
    pub leases: Option<u8>,
    /// What to do while it does not answer.
    pub on_unavailable: OnUnavailable,
}

/// An address that may carry a password: erased when dropped, hidden from `Debug`.
#[derive(Clone)]
pub struct RedisUrl(Zeroizing<String>);

/// What to do while Redis does not answer, as it is written in a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WithoutRedis(pub OnUnavailable);

/// The environment variable that may hold the address of Redis.
pub const REDIS_VARIABLE: &str = "PLUGIN_HOST_REDIS_URL";

impl RedisOptions {
    pub(in crate::host) fn into_config(self) -> Result<Option<RedisConfig>, OptionsError> {
        let url = match (self.url, self.file, self.environment) {
            (None, None, None) if self.leases.is_some() || self.on_unavailable.is_some() => {
                return Err(OptionsError::NoRedis);
            }
            (None, None, None) => return Ok(None),
            (Some(url), None, None) if url.has_credentials() => {
                return Err(OptionsError::Password);
            }
            (Some(url), None, None) | (None, None, Some(url)) => url,
            (None, Some(path), None) => {
                let text = secret_file::read("--redis-url-file", &path)?;
                RedisUrl(Zeroizing::new(
                    text.trim_end_matches(['\r', '\n']).to_owned(),
                ))
            }
            _ => return Err(OptionsError::AmbiguousRedis),
        };
        Ok(Some(RedisConfig {
            url,
            leases: self.leases,
            on_unavailable: self.on_unavailable.map(|what| what.0).unwrap_or_default(),
        }))
    }
}

impl RedisUrl {
    /// The address itself, for who connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it can be connected to at all, as far as that can be said without trying.
    pub(in crate::host) fn is_usable(&self) -> bool {
        redis::Client::open(self.expose()).is_ok()
    }

    /// Whether others on the way to it can read along. Not of this machine.
    pub(in crate::host) fn is_in_clear(&self) -> bool {
        let Ok(client) = redis::Client::open(self.expose()) else {
            return false;
        };
        match client.get_connection_info().addr() {
            redis::ConnectionAddr::Tcp(host, _) => {
                let is_loopback = host
                    .trim_matches(['[', ']'])
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.to_canonical().is_loopback());
                !is_loopback && host != "localhost"
            }
            _ => false,
        }
    }

    /// Whether it says more than where Redis is.
    pub(in crate::host) fn has_credentials(&self) -> bool {
        self.0.contains('@') || self.0.contains("pass=")
    }
}

// What it says is not looked at here: whoever finds a fault in it would print it.
impl FromStr for RedisUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(..)")
    }
}

impl FromStr for WithoutRedis {
    type Err = InvalidWithoutRedis;

    fn from_str(text: &str) -> Result<Self, InvalidWithoutRedis> {
        let mut parts = text.split(':');
        let what = parts.next().unwrap_or_default();
        let mut number = || {
            let digits = parts.next()?;
            let number: u32 = digits.parse().ok()?;
            (number > 0 && !digits.starts_with('+')).then_some(number)
        };
        let what = match what {
            "allow" => Some(OnUnavailable::Allow),
            "deny" => Some(OnUnavailable::Deny),
            "local" => number().map(|replicas| OnUnavailable::Local { replicas }),
            "floor" => number()
                .and_then(|percent| u8::try_from(percent).ok())
                .filter(|percent| *percent <= 90)
                .and_then(|percent| {
                    let replicas = number()?;
                    Some(OnUnavailable::Floor { percent, replicas })
                }),
            _ => None,
        };
        match (what, parts.next()) {
            (Some(what), None) => Ok(Self(what)),
            _ => Err(InvalidWithoutRedis),
        }
    }
}

impl fmt::Display for WithoutRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OnUnavailable::Allow => f.write_str("allow"),
            OnUnavailable::Deny => f.write_str("deny"),
            OnUnavailable::Floor { percent, replicas } => write!(f, "floor:{percent}:{replicas}"),
            OnUnavailable::Local { replicas } => write!(f, "local:{replicas}"),
            ref other => write!(f, "{other:?}"),
        }
    }
}

/// A `--redis-on-unavailable` that says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidWithoutRedis;

impl fmt::Display for InvalidWithoutRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be allow, deny, local:COPIES or floor:PERCENT:COPIES, with 1 to 90 percent and at least 1 copy",
        )
    }
}

impl std::error::Error for InvalidWithoutRedis {}
