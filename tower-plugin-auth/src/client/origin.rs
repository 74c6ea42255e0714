use http::{Uri, uri::Scheme};

use crate::config::InvalidConfig;

/// The one place that a token is for: scheme, host and port.
///
/// ```
/// use tower_plugin_auth::client::Origin;
///
/// assert!(Origin::new("https://plugins.example:8443").is_ok());
/// assert!(Origin::new("unix:/run/plugins.sock").is_ok());
/// assert!(Origin::new("http://localhost:8080").is_err());
/// assert!(Origin::insecure("http://localhost:8080").is_ok());
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct Origin(Place);

#[derive(Clone, Debug)]
enum Place {
    /// Wherever the connection leads: it never leaves the machine.
    LocalSocket,
    Remote {
        scheme: Scheme,
        host: Box<str>,
        port: u16,
    },
}

impl Origin {
    /// A server at the other end of an encrypted connection, or of a Unix socket (`unix:PATH`; every request
    /// through the layer is for it then).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for anything else: other schemes, `http` above all and also to this machine, user
    /// names, paths and queries.
    pub fn new(uri: &str) -> Result<Self, InvalidConfig> {
        let allowed = InvalidConfig::new("origin", "`https://HOST[:PORT]` or `unix:PATH`");
        if uri
            .strip_prefix("unix:")
            .is_some_and(|path| path.contains('/'))
        {
            return Ok(Self(Place::LocalSocket));
        }
        Self::remote(uri, &Scheme::HTTPS).ok_or(allowed)
    }

    /// A server that tokens are sent to in clear, for whoever listens to read.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] unless it is `http://HOST[:PORT]`.
    pub fn insecure(uri: &str) -> Result<Self, InvalidConfig> {
        Self::remote(uri, &Scheme::HTTP).ok_or(InvalidConfig::new(
            "insecure origin",
            "`http://HOST[:PORT]`",
        ))
    }

    pub(super) fn is_insecure(&self) -> bool {
        matches!(&self.0, Place::Remote { scheme, .. } if *scheme == Scheme::HTTP)
    }

    /// Whether a request is for this origin. One that names no place goes where the connection leads, which is
    /// here: that is how tonic's clients call a channel.
    pub(super) fn is_of(&self, request: &Uri) -> bool {
        let Place::Remote { scheme, host, port } = &self.0 else {
            return true;
        };
        match (request.scheme(), request.authority()) {
            (None, None) => true,
            (Some(sent), Some(authority)) => {
                sent == scheme
                    && authority.host().eq_ignore_ascii_case(host)
                    && authority.port_u16().unwrap_or(default_port(sent)) == *port
            }
            _ => false,
        }
    }

    fn remote(uri: &str, expected: &Scheme) -> Option<Self> {
        let uri: Uri = uri.parse().ok()?;
        let authority = uri.authority()?;
        let scheme = uri.scheme().filter(|scheme| *scheme == expected)?.clone();
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        // What `http` takes for an authority may hold a user name, or a port that is none.
        let port = authority.port_u16().unwrap_or(default_port(&scheme));
        let spelled = authority.as_str().strip_prefix(authority.host())?;
        let is_plain = spelled.is_empty() || spelled == format!(":{port}");
        (is_bare && is_plain && !authority.host().is_empty()).then(|| {
            Self(Place::Remote {
                scheme,
                host: authority.host().into(),
                port,
            })
        })
    }
}

fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's `TestTLSWarnings_NonTLSEndpoint`; what it warned of is not built here.
    #[test]
    fn an_origin_is_encrypted_or_an_error() {
        for (uri, secure, insecure) in [
            ("https://localhost:8080", true, false),
            ("https://example.com", true, false),
            ("https://example.com/", true, false),
            ("HTTPS://example.com", true, false),
            ("https://[::1]:8443", true, false),
            ("unix:///tmp/plugin.sock", true, false),
            ("unix:/tmp/plugin.sock", true, false),
            ("http://localhost:8080", false, true),
            ("http://127.0.0.1", false, true),
            ("http://example.com", false, true),
            ("", false, false),
            ("/", false, false),
            ("example.com", false, false),
            ("unix:", false, false),
            ("ftp://example.com", false, false),
            ("https://", false, false),
            ("https://user@example.com", false, false),
            ("https://user:password@example.com", false, false),
            ("https://example.com:", false, false),
            ("https://example.com/path", false, false),
            ("https://example.com?query", false, false),
        ] {
            assert_eq!(Origin::new(uri).is_ok(), secure, "{uri}");
            assert_eq!(Origin::insecure(uri).is_ok(), insecure, "{uri}");
        }
    }

    #[test]
    fn a_request_is_for_the_origin_or_for_another() {
        let https = Origin::new("https://Example.com").unwrap();
        let port = Origin::new("https://example.com:8443").unwrap();
        let http = Origin::insecure("http://example.com").unwrap();
        let unix = Origin::new("unix:/a").unwrap();
        for (uri, expected) in [
            ("https://example.com/a?b", [true, false, false, true]),
            ("https://EXAMPLE.com:443/", [true, false, false, true]),
            ("https://example.com:8443/", [false, true, false, true]),
            ("http://example.com/", [false, false, true, true]),
            ("http://example.com:443/", [false, false, false, true]),
            ("https://example.com.evil/", [false, false, false, true]),
            ("https://evil/example.com", [false, false, false, true]),
            ("https://example.com@evil/", [false, false, false, true]),
            ("/cache.v1.Cache/Get", [true, true, true, true]),
            ("example.com:443", [false, false, false, true]),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let found = [&https, &port, &http, &unix].map(|origin| origin.is_of(&uri));
            assert_eq!(found, expected, "{uri}");
        }
    }
}
