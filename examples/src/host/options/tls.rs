use std::path::PathBuf;

use super::{OptionsError, Span};
use crate::host::tls::{ClientAuth, Tls, TlsConfig};

/// How connections are encrypted.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsOptions {
    /// Serve TLS (1.2 and later) with the certificates in this PEM file, the host's own first. All files
    /// are read again when they change, and on SIGHUP.
    #[arg(long = "tls-cert", value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// PEM file of the private key; nobody but its owner may be able to read it.
    #[arg(long = "tls-key", value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Ask clients for a certificate that an authority in this PEM file has signed.
    #[arg(long = "tls-client-ca", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Whether clients have to show one.
    #[arg(
        long = "tls-client-auth",
        value_name = "HOW",
        default_value = "required"
    )]
    pub client_auth: ClientAuth,

    /// How often to look whether the files have changed; 1s to 1h.
    #[arg(
        long = "tls-reload",
        value_name = "TIME",
        default_value = "30s",
        value_parser = Span::within(1, 3600)
    )]
    pub reload: Span,

    /// How long a TLS handshake may take; 1s to 1m.
    #[arg(
        long = "tls-handshake-timeout",
        value_name = "TIME",
        default_value = "10s",
        value_parser = Span::within(1, 60)
    )]
    pub handshake_timeout: Span,

    /// TLS handshakes at a time on each listener, an eighth of them with one address; 1 to 65536. More
    /// wait, and their time runs.
    #[arg(
        long = "tls-handshakes",
        value_name = "COUNT",
        default_value = "512",
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    pub handshakes: u32,

    /// Refuse to start without a certificate, and to answer what did not come over TLS.
    #[arg(long)]
    pub require_tls: bool,
}

impl TlsOptions {
    pub(super) fn load(&self) -> Result<Option<Tls>, OptionsError> {
        let (cert, key) = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (None, None) if self.client_ca.is_some() => {
                return Err(OptionsError::NoTls("--tls-client-ca"));
            }
            (None, None) if self.require_tls => return Err(OptionsError::NoTls("--require-tls")),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(OptionsError::NoTls("--tls-cert")),
            (None, Some(_)) => return Err(OptionsError::NoTls("--tls-key")),
        };
        let config = TlsConfig {
            cert,
            key,
            client_ca: self.client_ca.clone(),
            client_auth: self.client_auth,
            handshake_timeout: self.handshake_timeout.0,
            handshakes: usize::try_from(self.handshakes).unwrap_or(usize::MAX),
        };
        Tls::load(config).map(Some).map_err(OptionsError::Tls)
    }
}
