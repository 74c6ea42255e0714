use std::{fmt, str::FromStr};

use ipnet::IpNet;
use tower_plugin_auth::token::SelfId;

use super::endpoints::Endpoint;
use crate::host::options::Span;

/// Where providers are that plugins call through the host.
///
/// By default nowhere: what a plugin says of itself is not believed.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Calls from plugin to plugin")]
pub struct ProxyOptions {
    /// Where the plugins that call themselves by this name are, as NAME=http://HOST:PORT/PATH;
    /// repeatable. May be a private address.
    #[arg(long = "provider", value_name = "PROVIDER", value_delimiter = ',')]
    pub providers: Vec<ProviderUrl>,

    /// Believe the `base_url` a plugin registers if its host is this name or address, or is below
    /// this zone (*.ZONE, whose addresses must be public or in a --provider-network); repeatable.
    #[arg(long = "provider-host", value_name = "HOST", value_delimiter = ',')]
    pub hosts: Vec<String>,

    /// Believe the `base_url` a plugin registers if it is an address of this network, as CIDR;
    /// repeatable.
    #[arg(
        long = "provider-network",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub networks: Vec<IpNet>,

    /// How long a provider may take to begin its answer once it has the request, as COUNT and s, m, h
    /// or d; an answer that has begun may take as long as it likes.
    #[arg(long = "provider-timeout", value_name = "TIME", default_value = "30s")]
    pub timeout: Span,
}

/// Where the plugins of one name are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProviderUrl {
    pub(super) self_id: SelfId,
    pub(super) endpoint: Endpoint,
}

impl FromStr for ProviderUrl {
    type Err = InvalidProvider;

    fn from_str(text: &str) -> Result<Self, InvalidProvider> {
        let (name, url) = text.split_once('=').ok_or(InvalidProvider::Form)?;
        Ok(Self {
            self_id: name.parse().map_err(|_| InvalidProvider::Name)?,
            endpoint: Endpoint::parse(url).ok_or(InvalidProvider::Url)?,
        })
    }
}

/// A `--provider` that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidProvider {
    /// Not NAME=URL.
    Form,
    /// No plugin can call itself so.
    Name,
    /// Not where a provider can be.
    Url,
}

impl fmt::Display for InvalidProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "must have the form NAME=http://HOST:PORT/PATH",
            Self::Name => "NAME must be a letter followed by letters, digits, _, - and single dots",
            Self::Url => {
                "URL must be http:// with a host, and perhaps a port and a plain path; TLS to \
                 providers is not spoken, and the metadata services of clouds are out of reach"
            }
        })
    }
}

impl std::error::Error for InvalidProvider {}
