use std::{fmt, net::SocketAddr, sync::Arc};

use http::Extensions;

/// A TLS connection, as the server that accepted it knows it.
///
/// Put it into the extensions of every request of the connection. With feature `axum` it is also found as
/// `axum::extract::ConnectInfo<TlsInfo>`: let the address of your `axum::serve::Listener` be `TlsInfo`, and
/// serve `listener.tap_io(|_| {})` by `into_make_service_with_connect_info::<TlsInfo>()`.
///
/// That it is there says that the connection is encrypted, so only the server may put it there. A clone costs
/// one reference count.
///
/// ```
/// use http::{Extensions, Request};
/// use tower_plugin_auth::TlsInfo;
///
/// # let (chain, peer): (Vec<Vec<u8>>, std::net::SocketAddr) = (vec![], ([127, 0, 0, 1], 1).into());
/// let info = TlsInfo::new().with_client_certificates(chain).with_peer_addr(peer);
/// let mut request = Request::new(());
/// request.extensions_mut().insert(info);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TlsInfo(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    certificates: Vec<Box<[u8]>>,
    peer_addr: Option<SocketAddr>,
}

impl TlsInfo {
    /// A connection whose client showed no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// What rustls knows of a server's connection, once its handshake is done.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn of_rustls(connection: &rustls::ServerConnection) -> Self {
        Self::new().with_client_certificates(connection.peer_certificates().unwrap_or_default())
    }

    /// The certificates (DER) that the client has shown *and the server has verified*, its own first.
    pub fn with_client_certificates(
        mut self,
        chain: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Self {
        let chain = chain
            .into_iter()
            .map(|certificate| certificate.as_ref().into());
        Arc::make_mut(&mut self.0).certificates = chain.collect();
        self
    }

    /// Where the client is. It is kept for whoever wants to know; nothing here is decided by it.
    pub fn with_peer_addr(mut self, peer: SocketAddr) -> Self {
        Arc::make_mut(&mut self.0).peer_addr = Some(peer);
        self
    }

    /// The certificates (DER) of the client, its own first; none if it showed none.
    #[must_use]
    pub fn client_certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.certificates.iter().map(|certificate| &**certificate)
    }

    /// Where the client is, if the server said so.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer_addr
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("client_certificates", &self.0.certificates.len())
            .field("peer_addr", &self.0.peer_addr)
            .finish()
    }
}

/// A connection that never leaves the machine, such as one over a Unix socket: put it into the extensions
/// of its requests.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct LocalSocket;

/// Whether what was sent could be read or changed on the way.
pub(crate) fn is_secure(extensions: &Extensions) -> bool {
    #[cfg(feature = "tonic")]
    {
        use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
        if extensions.get::<TlsConnectInfo<TcpConnectInfo>>().is_some() {
            return true;
        }
        #[cfg(unix)]
        if extensions
            .get::<tonic::transport::server::UdsConnectInfo>()
            .is_some()
        {
            return true;
        }
    }
    tls_info(extensions).is_some() || extensions.get::<LocalSocket>().is_some()
}

/// Calls `read` with the client's own certificate, or without one if it showed none.
pub(crate) fn with_client_certificate<R>(
    extensions: &Extensions,
    read: impl FnOnce(Option<&[u8]>) -> R,
) -> R {
    #[cfg(feature = "tonic")]
    {
        use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
        if let Some(info) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() {
            let chain = info.peer_certs();
            let own = chain.as_ref().and_then(|chain| chain.first());
            return read(own.map(AsRef::as_ref));
        }
    }
    let info = tls_info(extensions);
    read(info.and_then(|info| info.client_certificates().next()))
}

fn tls_info(extensions: &Extensions) -> Option<&TlsInfo> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(info)) = extensions.get() {
        return Some(info);
    }
    extensions.get()
}
