//! Flags, and what they are made into.

use std::{net::SocketAddr, path::PathBuf};

use tower_plugin_validate::limits::Limits;
use zeroize::Zeroizing;

use super::{
    Bounds, ProxyOptions, Quotas, admission::Door, capabilities::GrantConfig,
    registry::RegistryLimits, tls::Tls,
};

mod admin;
mod audit;
mod bounds;
mod door;
mod error;
mod grants;
mod keys;
mod log_format;
mod managed;
mod plugin;
mod redis;
mod registry;
mod secret;
pub(super) mod secret_file;
mod services;
mod span;
mod tls;
mod tokens;

pub use admin::{ADMIN_TOKEN_VARIABLE, AdminConfig, AdminOptions, AdminToken};
pub use audit::{AUDIT_KEYS_VARIABLE, AuditConfig, AuditOptions};
pub use bounds::{ConnectionOptions, DeadlineOptions, Deadlines, HeadOptions};
pub use door::{DoorOptions, InvalidTrustedKey, TrustedKey};
pub use error::OptionsError;
pub use grants::{GrantOptions, InvalidPublicUrl, PublicUrl};
pub use keys::{Keys, SecretText};
pub use log_format::{InvalidLogFormat, LogFormat};
pub use managed::{InvalidManaged, ManagedOptions, ManagedPlugin};
pub use plugin::{InvalidPlugin, KnownPlugin};
pub use redis::{
    InvalidWithoutRedis, REDIS_VARIABLE, RedisConfig, RedisOptions, RedisUrl, WithoutRedis,
};
pub use registry::{InvalidStrategy, RegistryOptions, Strategy};
pub use secret::{GeneratedSecret, SECRET_VARIABLE, SecretSource};
pub use services::{InvalidServiceRule, ServiceOptions, ServiceRule};
pub use span::{InvalidSpan, Span, TokenTtl};
pub use tls::TlsOptions;
pub use tokens::{TOKEN_KEYS_VARIABLE, TokenConfig, TokenOptions};

/// A host for plugins that speak connect-plugin-go's protocol.
///
/// Every flag can be set in the environment and in a file, too: --token-ttl 1h, PLUGIN_HOST_TOKEN_TTL=1h
/// and token-ttl = "1h" say the same, and the first of them counts.
///
/// Secrets are none of these: a command line is visible to every process of the machine. The admission
/// secret comes from --bootstrap-secret-file or from the environment variable
/// PLUGIN_HOST_BOOTSTRAP_SECRET; without either, one is made and printed. The address of Redis may come
/// from PLUGIN_HOST_REDIS_URL, the keys of the tokens from PLUGIN_HOST_TOKEN_KEYS, those of the audit log
/// from PLUGIN_HOST_AUDIT_KEYS, and the administrator's
/// token from PLUGIN_HOST_ADMIN_TOKEN.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "plugin-host", version)]
pub struct Options {
    /// TOML file of settings: each flag without its dashes is a key. An unknown key is an error. The quotas in
    /// it are read again on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print what is in effect as a file for --config, without secrets, and end.
    #[arg(long)]
    pub print_config: bool,

    /// Try every setting, file and address, print each problem on a line, and end.
    #[arg(long, conflicts_with = "print_config")]
    pub check: bool,

    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Regular file that holds the admission secret: 16 to 1024 visible ASCII characters.
    #[arg(long, value_name = "FILE")]
    pub bootstrap_secret_file: Option<PathBuf>,

    /// Admit everyone, by the default cookie that connect-plugin-go publishes.
    #[arg(long)]
    pub open_admission: bool,

    /// What else is asked of a plugin.
    #[command(flatten)]
    pub door: DoorOptions,

    /// A plugin to tell of in handshakes, as NAME=VERSION=/SERVICE/PATH/; repeatable.
    #[arg(long = "plugin", value_name = "PLUGIN", value_delimiter = ',')]
    pub plugins: Vec<KnownPlugin>,

    /// Which plugins the host calls first.
    #[command(flatten)]
    pub managed: ManagedOptions,

    /// How log lines are written: text or json.
    #[arg(long, value_name = "HOW", default_value = "text")]
    pub log_format: LogFormat,

    /// How long tokens are good.
    #[command(flatten)]
    pub tokens: TokenOptions,

    /// How grants of capabilities are made.
    #[command(flatten)]
    pub grants: GrantOptions,

    /// How often each kind of call is let through.
    #[command(flatten)]
    pub quotas: Quotas,

    /// Where they are kept.
    #[command(flatten)]
    pub redis: RedisOptions,

    /// Which plugins may offer and call which services.
    #[command(flatten)]
    pub services: ServiceOptions,

    /// Where providers are.
    #[command(flatten)]
    pub proxy: ProxyOptions,

    /// How many services there may be.
    #[command(flatten)]
    pub registry: RegistryOptions,

    /// How large the head of a request may be.
    #[command(flatten)]
    pub head: HeadOptions,

    /// How long a call may take.
    #[command(flatten)]
    pub deadlines: DeadlineOptions,

    /// What connections are held to.
    #[command(flatten)]
    pub connections: ConnectionOptions,

    /// How they are encrypted.
    #[command(flatten)]
    pub tls: TlsOptions,

    /// What is written down.
    #[command(flatten)]
    pub audit: AuditOptions,

    /// A listener for who runs the host.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// What the host runs on.
#[derive(Debug)]
pub struct Config {
    /// Who may join.
    pub admission: Door,
    /// What is written down, and where.
    pub audit: Option<AuditConfig>,
    /// What handshakes tell of.
    pub plugins: Vec<KnownPlugin>,
    /// Which plugins the host calls first.
    pub managed: Vec<ManagedPlugin>,
    /// Which plugins may offer and call which services.
    pub services: ServiceOptions,
    /// Where providers are.
    pub proxy: ProxyOptions,
    /// How often each kind of call is let through.
    pub quotas: Quotas,
    /// Where they are kept, if not in this process.
    pub redis: Option<RedisConfig>,
    /// How long tokens are good.
    pub tokens: TokenConfig,
    /// What they are digested under, if not under keys made for the run.
    pub token_keys: Option<Keys>,
    /// How grants of capabilities are made.
    pub grants: GrantConfig,
    /// How many services there may be.
    pub registry: RegistryLimits,
    /// Which of several equally good providers is found.
    pub selection: Strategy,
    /// How large the head of a request may be.
    pub head: Limits,
    /// How long a call may take.
    pub deadlines: Deadlines,
    /// Whether what did not come over TLS is refused.
    pub require_tls: bool,
    /// Whether everyone may read the metrics.
    pub public_metrics: bool,
}

impl Options {
    /// What the connections are held to.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.connections.bounds()
    }

    /// Reads certificates and key, if there are to be any.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] if one of them is missing, cannot be read or does not fit the other.
    pub fn load_tls(&self) -> Result<Option<Tls>, OptionsError> {
        self.tls.load()
    }

    /// Reads the administrator's token, if there is to be an admin listener.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] if there is none or more than one, it cannot be read or used, or the listener
    /// would show it to others.
    pub fn load_admin(&self) -> Result<Option<AdminConfig>, OptionsError> {
        self.admin.config(self.tls.cert.is_some())
    }

    /// Decides on the admission secret and makes the configuration.
    ///
    /// `environment` is the value of [`SECRET_VARIABLE`], if it is set.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] if more than one admission secret or address of Redis is configured, if the one
    /// that is cannot be read or used, if a limit is out of range, or if there is no randomness to make
    /// a secret.
    pub fn into_config(
        self,
        environment: Option<String>,
    ) -> Result<(Config, SecretSource), OptionsError> {
        let environment = environment.map(Zeroizing::new);
        let (admission, source) = self.admission(environment.as_ref().map(|text| text.as_str()))?;
        let redis = self.redis.into_config()?;
        let token_keys = self.tokens.keys()?;
        if redis.is_some() && token_keys.is_none() {
            return Err(OptionsError::NoKeys);
        }
        let config = Config {
            admission,
            audit: self.audit.config()?,
            plugins: self.plugins,
            managed: self.managed.managed,
            services: self
                .services
                .config(matches!(source, SecretSource::Generated(_))),
            proxy: self.proxy,
            quotas: self.quotas,
            redis,
            tokens: self.tokens.config(),
            token_keys,
            grants: self.grants.config(),
            registry: self.registry.config(),
            selection: self.registry.selection,
            head: self.head.build()?,
            deadlines: self.deadlines.config(),
            require_tls: self.tls.require_tls,
            public_metrics: self.admin.public_metrics,
        };
        Ok((config, source))
    }

    pub(super) fn admission(
        &self,
        environment: Option<&str>,
    ) -> Result<(Door, SecretSource), OptionsError> {
        let file = self.bootstrap_secret_file.clone();
        let has_secret = environment.is_some() || file.is_some() || self.open_admission;
        if let Some((door, path)) = self.door.of_file(has_secret)? {
            return Ok((door, SecretSource::Configured(path)));
        }
        let (rule, source) = secret::rule(environment, file, self.open_admission)?;
        Ok((self.door.door(rule)?, source))
    }
}

#[cfg(test)]
mod tests;
