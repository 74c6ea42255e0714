use std::{fmt, str::FromStr};

use super::TokenTtl;
use crate::host::capabilities::GrantConfig;

/// How grants of the host's capabilities are made.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Grants of capabilities")]
pub struct GrantOptions {
    /// How long a grant lives, as COUNT and s, m, h or d; 1m to 30d. It ends with its plugin's tokens, too.
    #[arg(long = "grant-ttl", value_name = "TIME", default_value = "1h")]
    pub grant_ttl: TokenTtl,

    /// Most grants at a time, 1 to 10000000. With Redis, --token-capacity counts in the place of this.
    #[arg(
        long = "grant-capacity",
        value_name = "COUNT",
        default_value = "100000",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000)
    )]
    pub grant_capacity: u32,

    /// Most grants of one plugin at a time, 1 to 10000.
    #[arg(
        long = "grants-per-plugin",
        value_name = "COUNT",
        default_value = "100",
        value_parser = clap::value_parser!(u16).range(1..=10_000)
    )]
    pub grants_per_plugin: u16,

    /// Let a grant be used by the plugin alone that has asked for it: it then sends its runtime token in
    /// Authorization and the grant's in X-Plugin-Grant. Without this whoever has a grant may use it, as connect-plugin-go's plugins send nothing else.
    #[arg(long)]
    pub bind_grants: bool,

    /// Where plugins reach the host, e.g. `https://plugins.example`: what the addresses of grants begin with.
    /// Without this it is where the plugin that asks has reached it.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<PublicUrl>,
}

/// An address without path, query and user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicUrl(Box<str>);

impl GrantOptions {
    pub(in crate::host) fn config(&self) -> GrantConfig {
        GrantConfig {
            ttl: self.grant_ttl.get(),
            capacity: usize::try_from(self.grant_capacity).unwrap_or(usize::MAX),
            per_plugin: self.grants_per_plugin.into(),
            bound: self.bind_grants,
            public_url: self.public_url.clone(),
        }
    }
}

impl PublicUrl {
    /// The address, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let url = text.strip_suffix('/').unwrap_or(text);
        let parsed: http::Uri = url.parse().map_err(|_| InvalidPublicUrl)?;
        let is_plain = matches!(parsed.scheme_str(), Some("http" | "https"))
            && parsed.path() == "/"
            && parsed.query().is_none()
            && !url.ends_with(['/', '#'])
            && !url.contains('@');
        match is_plain {
            true => Ok(Self(url.into())),
            false => Err(InvalidPublicUrl),
        }
    }
}

/// A `--public-url` that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidPublicUrl;

impl fmt::Display for InvalidPublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be http:// or https:// with a host, and perhaps a port")
    }
}

impl std::error::Error for InvalidPublicUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("https://a.example", Some("https://a.example")),
            ("http://10.0.0.1:8080/", Some("http://10.0.0.1:8080")),
            ("https://[::1]:1", Some("https://[::1]:1")),
            ("a.example", None),
            ("ftp://a.example", None),
            ("https://a.example/p", None),
            ("https://a.example//", None),
            ("https://a.example?q", None),
            ("https://u:s@a.example", None),
            ("https://", None),
        ] {
            let url = text.parse::<PublicUrl>().ok();
            assert_eq!(url.as_ref().map(PublicUrl::as_str), expected, "{text}");
        }
    }
}
