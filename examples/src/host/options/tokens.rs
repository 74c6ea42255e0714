use std::{path::PathBuf, time::Duration};

use super::{Keys, OptionsError, SecretText, Span, TokenTtl, keys::Origin};

/// How long the tokens of the plugins are good.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Tokens")]
pub struct TokenOptions {
    /// How long a runtime token lives, as COUNT and s, m, h or d; 1m to 30d.
    #[arg(long = "token-ttl", value_name = "TIME", default_value = "24h")]
    pub ttl: TokenTtl,

    /// Let a token die that has not been used for this long; 1m to 30d. Without this none does.
    #[arg(id = "token_idle", long = "token-idle", value_name = "TIME")]
    pub idle: Option<TokenTtl>,

    /// Let nobody go on for longer than this by rotating tokens; 1m to 30d. Without this there is no end.
    #[arg(long = "token-lifetime", value_name = "TIME")]
    pub lifetime: Option<TokenTtl>,

    /// How long a rotated token stays good beside its successor; 1s to 1h.
    #[arg(
        long = "token-overlap",
        value_name = "TIME",
        default_value = "30s",
        value_parser = Span::within(1, 3600)
    )]
    pub overlap: Span,

    /// Most tokens at a time, of about 800 bytes each; 1 to 10000000.
    #[arg(
        long = "token-capacity",
        value_name = "COUNT",
        default_value = "100000",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000)
    )]
    pub capacity: u32,

    /// Regular file of the keys that tokens and grants are digested under, one a line, the active one
    /// first: a number, a space and 64 hexadecimal digits. Needed with Redis, where all copies need the
    /// same; without, they are made for the run.
    ///
    /// It may be the environment variable PLUGIN_HOST_TOKEN_KEYS instead.
    #[arg(long = "token-key-file", value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// The value of [`TOKEN_KEYS_VARIABLE`], if it is set.
    #[arg(skip)]
    pub environment: Option<SecretText>,
}

/// The environment variable that may hold the keys of the tokens.
pub const TOKEN_KEYS_VARIABLE: &str = "PLUGIN_HOST_TOKEN_KEYS";

/// How long the tokens of the plugins are good, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct TokenConfig {
    /// How long one lives.
    pub ttl: Duration,
    /// How long one lives unused, if that matters.
    pub idle: Option<Duration>,
    /// How long a family of them lives, if that has an end.
    pub lifetime: Option<Duration>,
    /// How long a rotated one stays good.
    pub overlap: Duration,
    /// Most of them at a time.
    pub capacity: usize,
}

impl TokenOptions {
    /// The keys, if there are any.
    pub(in crate::host) fn keys(&self) -> Result<Option<Keys>, OptionsError> {
        let origin = Origin {
            flag: "--token-key-file",
            variable: TOKEN_KEYS_VARIABLE,
        };
        Keys::load(origin, self.key_file.as_deref(), self.environment.as_ref())
    }

    pub(in crate::host) fn config(&self) -> TokenConfig {
        TokenConfig {
            ttl: self.ttl.get(),
            idle: self.idle.map(TokenTtl::get),
            lifetime: self.lifetime.map(TokenTtl::get),
            overlap: self.overlap.0,
            capacity: usize::try_from(self.capacity).unwrap_or(usize::MAX),
        }
    }
}
