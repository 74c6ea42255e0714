//! TLS, and what is read again while it serves.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{net::TcpStream, task};
use tokio_rustls::server::TlsStream;
use tower_plugin_auth::TlsInfo;

use crate::replaceable::Replaceable;

mod error;
mod files;
mod handshakes;
mod reload;
mod warning;

pub(super) use handshakes::Handshakes;

pub use error::TlsError;
pub use reload::Reloading;
pub use warning::{DISABLE_TLS_WARNING, warn_of_clear};

use files::Files;
use reload::Seen;

/// Which files TLS is made of, and what its handshakes are held to.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The host's certificates, its own first (PEM).
    pub cert: PathBuf,
    /// The key to it (PEM).
    pub key: PathBuf,
    /// Authorities that sign for clients (PEM); without them no client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether a client has to show one.
    pub client_auth: ClientAuth,
    /// How long a handshake may take, waiting for its place included.
    pub handshake_timeout: Duration,
    /// Handshakes at a time on each listener. One address has an eighth of them, or one.
    pub handshakes: usize,
}

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAuth {
    /// It may; one that is shown must be good.
    Optional,
    /// It must.
    Required,
}

/// What makes TLS of a connection. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    config: TlsConfig,
    server: Replaceable<ServerConfig>,
    seen: Seen,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if one cannot be read, holds nothing of use, or the key is not the certificate's or
    /// others than its owner can read it.
    pub fn load(config: TlsConfig) -> Result<Self, TlsError> {
        let files = Files::read(&config)?;
        let server = files.server_config(&config)?;
        Ok(Self(Arc::new(Inner {
            server: Replaceable::new(server),
            seen: Seen::new(files.digest()),
            config,
        })))
    }

    /// Whether a client has to show a certificate.
    #[must_use]
    pub fn requires_client_certificate(&self) -> bool {
        let config = &self.0.config;
        config.client_ca.is_some() && config.client_auth == ClientAuth::Required
    }

    /// Reads the files again if they have changed, for connections made from now on; whether it did.
    ///
    /// # Errors
    ///
    /// [`TlsError`] as of [`load`](Self::load): what was in use stays in use. The same bad files are an
    /// error once.
    pub async fn reload(&self) -> Result<bool, TlsError> {
        let tls = self.clone();
        let reading = task::spawn_blocking(move || tls.reload_now());
        reading.await.unwrap_or(Ok(false))
    }

    fn reload_now(&self) -> Result<bool, TlsError> {
        let Inner {
            config,
            server,
            seen,
            ..
        } = &*self.0;
        seen.change(
            || Files::read(config),
            |files| {
                server.replace(files.server_config(config)?);
                Ok(())
            },
        )
    }
}

/// A connection whose handshake is done.
pub(super) struct Encrypted {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) info: TlsInfo,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl FromStr for ClientAuth {
    type Err = InvalidClientAuth;

    fn from_str(text: &str) -> Result<Self, InvalidClientAuth> {
        match text {
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(InvalidClientAuth),
        }
    }
}

/// A `--tls-client-auth` that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidClientAuth;

impl fmt::Display for InvalidClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be optional or required")
    }
}

impl std::error::Error for InvalidClientAuth {}
