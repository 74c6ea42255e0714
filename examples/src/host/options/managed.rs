use std::{fmt, net::IpAddr, str::FromStr};

use http::Uri;
use tower_plugin_auth::token::SelfId;

/// Plugins that the host calls first, and gives their identity.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Managed plugins")]
pub struct ManagedOptions {
    /// A plugin that waits to be given its identity, as NAME=http://ADDRESS:PORT, an address of this machine's
    /// loopback; repeatable. The host calls its `PluginIdentity` and `PluginControl`, issues its token without asking for
    /// a secret or a manifest, and tells it to end when the host does.
    #[arg(long, value_name = "PLUGIN", value_delimiter = ',')]
    pub managed: Vec<ManagedPlugin>,
}

/// What a plugin calls itself, and where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManagedPlugin {
    pub(in crate::host) name: SelfId,
    pub(in crate::host) address: Uri,
}

impl FromStr for ManagedPlugin {
    type Err = InvalidManaged;

    fn from_str(text: &str) -> Result<Self, InvalidManaged> {
        let (name, url) = text.split_once('=').ok_or(InvalidManaged::Form)?;
        let name = name.parse().map_err(|_| InvalidManaged::Name)?;
        let address: Uri = url.parse().map_err(|_| InvalidManaged::Url)?;
        // Its token goes there in clear. A name could lead anywhere by then.
        let host = address.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback());
        let is_plain = address.scheme_str() == Some("http")
            && address.port_u16().is_some_and(|port| port != 0)
            && address.path() == "/"
            && address.query().is_none()
            && !url.contains(['@', '#']);
        match is_loopback && is_plain {
            true => Ok(Self { name, address }),
            false => Err(InvalidManaged::Url),
        }
    }
}

/// A `--managed` that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidManaged {
    /// Not NAME=URL.
    Form,
    /// No plugin can call itself so.
    Name,
    /// Not where a managed plugin can be.
    Url,
}

impl fmt::Display for InvalidManaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "must have the form NAME=http://127.0.0.1:PORT",
            Self::Name => "NAME must be a letter followed by letters, digits, _, - and single dots",
            Self::Url => {
                "URL must be http:// with a loopback address and a port, such as http://127.0.0.1:9001: a token is \
                 sent there, and TLS to plugins is not spoken"
            }
        })
    }
}

impl std::error::Error for InvalidManaged {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_nowhere_but_to_loopback() {
        for (text, expected) in [
            ("cache=http://127.0.0.1:9001", Ok("cache")),
            ("Cache Plugin=http://127.8.8.8:9001/", Ok("cache-plugin")),
            ("cache=http://[::1]:9001", Ok("cache")),
            ("cache=http://[::ffff:127.0.0.1]:9001", Ok("cache")),
            ("cache", Err(InvalidManaged::Form)),
            ("a/b=http://127.0.0.1:9001", Err(InvalidManaged::Name)),
            ("cache=http://localhost:9001", Err(InvalidManaged::Url)),
            ("cache=http://10.0.0.1:9001", Err(InvalidManaged::Url)),
            ("cache=http://0.0.0.0:9001", Err(InvalidManaged::Url)),
            ("cache=https://127.0.0.1:9001", Err(InvalidManaged::Url)),
            ("cache=http://127.0.0.1", Err(InvalidManaged::Url)),
            ("cache=http://127.0.0.1:0", Err(InvalidManaged::Url)),
            ("cache=http://127.0.0.1:9001/path", Err(InvalidManaged::Url)),
            ("cache=http://127.0.0.1:9001/?q", Err(InvalidManaged::Url)),
            ("cache=http://u:s@127.0.0.1:9001", Err(InvalidManaged::Url)),
            ("cache=127.0.0.1:9001", Err(InvalidManaged::Url)),
        ] {
            let plugin = text.parse::<ManagedPlugin>();
            let name = plugin.as_ref().map(|plugin| plugin.name.as_str());
            assert_eq!(name.map_err(|error| *error), expected, "{text}");
        }
    }
}
