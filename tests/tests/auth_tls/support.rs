//! An authority, certificates, and a listener that speaks TLS.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, string::Ia5String,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower_plugin_auth::TlsInfo;

/// Signs for servers and clients.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate, and the key to it.
pub(crate) struct Leaf {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test Authority");
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    pub(crate) fn server(&self) -> Leaf {
        self.sign(ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.subject_alt_names = vec![dns("localhost")];
        })
    }

    pub(crate) fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.sign(ExtendedKeyUsagePurpose::ClientAuth, change)
    }

    fn sign(
        &self,
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate, key }
    }
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(name).unwrap())
}

pub(crate) fn uri(uri: &str) -> SanType {
    SanType::URI(Ia5String::try_from(uri).unwrap())
}

impl Leaf {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        let provider = ring::default_provider();
        Arc::new(CertifiedKey::from_der(vec![self.der()], self.key_der(), &provider).unwrap())
    }
}

/// Hands out a certificate that can be replaced while the server runs.
pub(crate) struct Rotating(RwLock<Arc<CertifiedKey>>);

impl Rotating {
    pub(crate) fn new(leaf: &Leaf) -> Arc<Self> {
        Arc::new(Self(RwLock::new(leaf.certified())))
    }

    pub(crate) fn rotate(&self, leaf: &Leaf) {
        *self.0.write().unwrap() = leaf.certified();
    }
}

impl ResolvesServerCert for Rotating {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap()))
    }
}

impl fmt::Debug for Rotating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rotating")
    }
}

/// Verifies the certificates that clients show, and lets in who shows none: who that is, the layers say.
pub(crate) fn server_config(
    authority: &Authority,
    certificate: Arc<Rotating>,
    protocol: &[u8],
) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(authority.roots(), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

pub(crate) fn client_config(authority: &Authority, client: Option<&Leaf>) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots());
    Arc::new(match client {
        Some(leaf) => config
            .with_client_auth_cert(vec![leaf.der()], leaf.key_der())
            .unwrap(),
        None => config.with_no_client_auth(),
    })
}

/// Connections whose handshakes are done; one that is not done holds up no other.
pub(crate) async fn listen(
    config: Arc<ServerConfig>,
) -> (SocketAddr, mpsc::Receiver<io::Result<TlsStream<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, accepted) = mpsc::channel(16);
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, connections) = (acceptor.clone(), connections.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = connections.send(Ok(stream)).await;
                }
            });
        }
    });
    (address, accepted)
}

/// The same for axum, which is told of each connection.
pub(crate) struct Listener(pub(crate) mpsc::Receiver<io::Result<TlsStream<TcpStream>>>);

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = TlsInfo;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.0.recv().await {
            Some(Ok(stream)) => {
                let (socket, connection) = stream.get_ref();
                let info = TlsInfo::of_rustls(connection);
                let info = info.with_peer_addr(socket.peer_addr().unwrap());
                (stream, info)
            }
            _ => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(TlsInfo::new())
    }
}
