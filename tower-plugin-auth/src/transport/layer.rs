use std::{fmt, str::FromStr, sync::Arc};

use tower_layer::Layer;
use tower_plugin_core::{ClientIp, IpNet, RequestHead};

use super::{ForwardedProto, RequireSecureTransport, connection, warning::Once};
use crate::config::InvalidConfig;

/// What becomes of a request that came over an unencrypted connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SecureTransport {
    /// It is refused: 403, `FAILED_PRECONDITION`.
    Enforce,
    /// Nothing; the layer does not look.
    Off,
    /// It is let through, and the first one is logged as a warning.
    Warn,
}

/// `enforce`, `off`, `warn`.
impl FromStr for SecureTransport {
    type Err = InvalidConfig;

    fn from_str(text: &str) -> Result<Self, InvalidConfig> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            _ => Err(InvalidConfig::new(
                "secure transport",
                "`enforce`, `off` or `warn`",
            )),
        }
    }
}

/// Lets in only what came over a secure connection, or warns of what did not.
///
/// A connection is secure if its server says so: by tonic's `TlsConnectInfo` or `UdsConnectInfo` (feature
/// `tonic`), by [`TlsInfo`](super::TlsInfo), also as axum's connect info (feature `axum`), or by
/// [`LocalSocket`](super::LocalSocket). A header counts for nothing, unless it comes from a
/// [trusted proxy](Self::with_trusted_proxies). Where nothing is known of the connection it is not secure.
///
/// It does not undo what happened: a token that came in clear should be revoked. It keeps a client from
/// working that way, so that somebody notices.
///
/// ```
/// use tower_plugin_auth::{RequireSecureTransportLayer, transport::{ForwardedProto, SecureTransport}};
///
/// let layer = RequireSecureTransportLayer::new(SecureTransport::Enforce)
///     .with_trusted_proxies(["10.0.0.0/8".parse()?], ForwardedProto::XForwardedProto);
/// # let _ = layer;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RequireSecureTransportLayer {
    rules: Arc<Rules>,
}

impl RequireSecureTransportLayer {
    /// Does this with requests over unencrypted connections.
    ///
    /// The [variable](super::DISABLE_TLS_WARNING) that silences warnings is read here, once.
    pub fn new(mode: SecureTransport) -> Self {
        Self {
            rules: Arc::new(Rules {
                mode,
                proxies: None,
                trusts_loopback: false,
                warning: Once::from_env(),
            }),
        }
    }

    /// Believes peers in these networks that the connection *they* accepted was encrypted, by this header.
    ///
    /// Every hop that the header tells of must have been `https`. The peer is the one that
    /// [`ClientIp`](tower_plugin_core::ClientIp) finds. The way between proxy and server is yours to secure.
    pub fn with_trusted_proxies(
        mut self,
        proxies: impl IntoIterator<Item = IpNet>,
        header: ForwardedProto,
    ) -> Self {
        Arc::make_mut(&mut self.rules).proxies = Some(Proxies {
            networks: proxies.into_iter().collect(),
            header,
        });
        self
    }

    /// Takes connections from this machine itself for secure, for development.
    ///
    /// Insecure because behind a proxy on the same machine that is every connection.
    pub fn with_insecure_loopback(mut self) -> Self {
        Arc::make_mut(&mut self.rules).trusts_loopback = true;
        self
    }
}

impl<S> Layer<S> for RequireSecureTransportLayer {
    type Service = RequireSecureTransport<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireSecureTransport::new(inner, Arc::clone(&self.rules))
    }
}

impl fmt::Debug for RequireSecureTransportLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireSecureTransportLayer")
            .field("rules", &self.rules)
            .finish()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rules {
    mode: SecureTransport,
    proxies: Option<Proxies>,
    trusts_loopback: bool,
    warning: Once,
}

#[derive(Clone, Debug)]
struct Proxies {
    networks: Box<[IpNet]>,
    header: ForwardedProto,
}

impl Rules {
    /// Whether the request may go on. Warns of it where that is wanted.
    pub(super) fn permit(&self, request: &RequestHead<'_>) -> bool {
        match self.mode {
            SecureTransport::Off => true,
            SecureTransport::Enforce => self.is_secure(request),
            SecureTransport::Warn => {
                // Looked at only as long as there is something to say.
                if self.warning.is_pending() && !self.is_secure(request) && self.warning.is_due() {
                    warn();
                }
                true
            }
        }
    }

    fn is_secure(&self, request: &RequestHead<'_>) -> bool {
        if connection::is_secure(request.extensions) {
            return true;
        }
        if self.proxies.is_none() && !self.trusts_loopback {
            return false;
        }
        let Some(peer) = ClientIp::peer().of(request.headers, request.extensions) else {
            return false;
        };
        if self.trusts_loopback && peer.is_loopback() {
            return true;
        }
        self.proxies.as_ref().is_some_and(|proxies| {
            let name = match proxies.header {
                ForwardedProto::Forwarded => "forwarded",
                ForwardedProto::XForwardedProto => "x-forwarded-proto",
            };
            let values = request.headers.get_all(name).iter();
            proxies
                .networks
                .iter()
                .any(|network| network.contains(&peer))
                && proxies
                    .header
                    .is_https(values.map(|value| value.as_bytes()))
        })
    }
}

fn warn() {
    tracing::warn!(
        impact = "tokens and data of this and following requests can be read on the way",
        risk = "whoever reads a bearer token can use it until it expires or is revoked",
        resolution =
            "serve TLS, or name the proxy that does in `with_trusted_proxies`; then `enforce`",
        suppress = "set TOWER_PLUGIN_DISABLE_TLS_WARNING=1",
        "a request came over an unencrypted connection",
    );
}
