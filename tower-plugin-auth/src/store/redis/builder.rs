use std::{fmt, sync::Arc, time::Duration};

use ::redis::{Client, IntoConnectionInfo, io::tcp::TcpSettings};

use super::{Inner, Link, RedisStore, Scripts};
use crate::config::InvalidConfig;

/// Settings of a [`RedisStore`], checked by [`build`](Self::build).
///
/// ```
/// use tower_plugin_auth::store::RedisStore;
///
/// let error = RedisStore::builder("localhost").build().unwrap_err();
/// assert_eq!(error.field(), "url");
/// assert!(RedisStore::builder("redis://localhost").with_prefix("{a}").build().is_err());
/// ```
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    capacity: u64,
    deadline: Duration,
    connect_timeout: Duration,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "tp".to_owned(),
            capacity: 1_000_000,
            deadline: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(2),
        }
    }

    /// What the names of all keys begin with: `tp` by default. Stores with different prefixes know
    /// nothing of each other.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many live tokens there may be: 1,000,000 by default.
    pub fn with_capacity(mut self, capacity: u64) -> Self {
        self.capacity = capacity;
        self
    }

    /// How long anybody waits for an answer: 500 milliseconds by default, between 1 millisecond and 1
    /// minute.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long making a connection may take: 2 seconds by default, between 1 millisecond and 1 minute.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Checks the settings. Nothing is connected to yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names the first setting outside its range.
    pub fn build(self) -> Result<RedisStore, InvalidConfig> {
        let url = InvalidConfig::new(
            "url",
            "the address of a Redis server, e.g. redis://host:6379",
        );
        let info = self.url.into_connection_info().map_err(|_| url)?;
        #[cfg(feature = "redis-tls")]
        if matches!(info.addr(), ::redis::ConnectionAddr::TcpTls { .. })
            && rustls::crypto::CryptoProvider::get_default().is_none()
        {
            // Found out by the first connection, it would be a panic.
            return Err(InvalidConfig::new(
                "url",
                "of rediss:// only where the process has installed a rustls crypto provider",
            ));
        }
        // A peer that is gone without a word must not keep anyone waiting for a quarter of an hour.
        let info = info.set_tcp_settings(tcp_settings(self.connect_timeout));
        let client = Client::open(info).map_err(|_| url)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.bytes().all(allowed) {
            return Err(InvalidConfig::new(
                "prefix",
                "1 to 64 letters, digits, ':', '.', '_' and '-'",
            ));
        }
        if self.capacity == 0 {
            return Err(InvalidConfig::new("capacity", "at least 1"));
        }
        for (field, time) in [
            ("deadline", self.deadline),
            ("connect_timeout", self.connect_timeout),
        ] {
            if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&time) {
                return Err(InvalidConfig::new(
                    field,
                    "between 1 millisecond and 1 minute",
                ));
            }
        }
        Ok(RedisStore(Arc::new(Inner {
            link: Link::new(client, self.deadline, self.connect_timeout),
            scripts: Scripts::new(),
            tag: format!("{{{}}}", self.prefix),
            capacity: self.capacity,
        })))
    }
}

fn tcp_settings(patience: Duration) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(patience * 2);
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = patience;
    settings
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may carry a password.
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("capacity", &self.capacity)
            .field("deadline", &self.deadline)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
