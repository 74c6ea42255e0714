//! Who is calling a tonic service, by client certificate: permissions for each, streams included, and a
//! server certificate that is replaced while it serves.
//!
//! `cargo run --bin tonic-mtls` makes an authority, starts the server, calls it as four clients would, prints
//! what they saw, and ends.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, SerialNumber,
};
use rustls::{
    RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer,
    server::WebPkiClientVerifier, sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, AuthorizeLayer, RequireSecureTransportLayer,
    authenticate::MtlsAuthenticator,
    authorize::{Callers, Permission, Permissions},
    transport::SecureTransport,
};
use tower_plugin_examples::replaceable::Replaceable;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let authority = Authority::new()?;
    let certificate = Arc::new(Replaceable::new(authority.server(1)?));
    let address = serve(&authority, Arc::clone(&certificate)).await?;
    println!("listening on https://{address}");

    let cache = authority.client(uri("spiffe://example.org/cache")?)?;
    let host = authority.client(dns("host.internal")?)?;
    let other = authority.client(uri("spiffe://example.org/other")?)?;
    let connect = async |leaf| authority.connect(address, leaf).await;
    let before = connect(Some(&cache)).await?;
    println!("cache:     {}", calls(&before).await);
    println!("host:      {}", calls(&connect(Some(&host)).await?).await);
    println!("other:     {}", calls(&connect(Some(&other)).await?).await);
    println!("nobody:    {}", calls(&connect(None).await?).await);

    certificate.replace(authority.server(2)?);
    println!("replaced:  {}", calls(&connect(Some(&cache)).await?).await);
    println!("still on:  {}", calls(&before).await);
    Ok(())
}

async fn serve(
    authority: &Authority,
    certificate: Arc<Replaceable<CertifiedKey>>,
) -> Result<SocketAddr, BoxError> {
    // TLS proves that a client holds its certificate, and that the authority signed it.
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(authority.roots()?, Arc::clone(&provider))
            // Who shows none is refused by `AuthLayer`, in words that a gRPC client understands.
            .allow_unauthenticated()
            .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec()];

    // Who that is, and what he may do, the layers say.
    let permissions = Permissions::new()
        .permit(
            Callers::principal("mtls-uri", "spiffe://example.org/cache"),
            Permission::rpc("grpc.health.v1.Health", "*")?,
        )
        .permit(
            Callers::kind("mtls-dns"),
            Permission::rpc("grpc.health.v1.Health", "Check")?,
        );
    let guard = ServiceBuilder::new()
        .layer(RequireSecureTransportLayer::new(SecureTransport::Enforce))
        .layer(AuthLayer::new(MtlsAuthenticator::new()))
        .layer(AuthorizeLayer::new(permissions));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(guard).add_service(health);
    let connections = accept(listener, TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(server.serve_with_incoming(ReceiverStream::new(connections)));
    Ok(address)
}

/// Shakes hands with each client by itself, so that a slow one holds up no other.
fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> mpsc::Receiver<io::Result<TlsStream<TcpStream>>> {
    let (done, connections) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok(place) = done.clone().reserve_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let handshake = acceptor.accept(stream);
            tokio::spawn(async move {
                if let Ok(Ok(stream)) = timeout(Duration::from_secs(10), handshake).await {
                    place.send(Ok(stream));
                }
            });
        }
    });
    connections
}

/// A call and a stream.
async fn calls(channel: &Channel) -> String {
    let mut client = HealthClient::new(channel.clone());
    let request = HealthCheckRequest::default;
    let check = client
        .check(request())
        .await
        .map_or_else(|s| s.code(), |_| tonic::Code::Ok);
    let watch = client
        .watch(request())
        .await
        .map_or_else(|s| s.code(), |_| tonic::Code::Ok);
    format!("{check:?} {watch:?}")
}

/// Signs for this run; yours is an authority that you run, or a SPIFFE implementation.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A client's certificate, and the key to it.
struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Result<Self, BoxError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Example Authority");
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    fn server(&self, serial: u64) -> Result<CertifiedKey, BoxError> {
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let chain = vec![certificate.der().clone()];
        Ok(CertifiedKey::from_der(
            chain,
            key.into(),
            &ring::default_provider(),
        )?)
    }

    fn client(&self, name: SanType) -> Result<Leaf, BoxError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![name];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Leaf { certificate, key })
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, BoxError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        Ok(Arc::new(roots))
    }

    async fn connect(&self, to: SocketAddr, leaf: Option<&Leaf>) -> Result<Channel, BoxError> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.0.pem()))
            .domain_name("localhost");
        if let Some(Leaf { certificate, key }) = leaf {
            tls = tls.identity(Identity::from_pem(certificate.pem(), key.serialize_pem()));
        }
        let endpoint = Endpoint::from_shared(format!("https://{to}"))?;
        Ok(endpoint.tls_config(tls)?.connect().await?)
    }
}

fn uri(uri: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(uri.try_into()?))
}

fn dns(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::DnsName(name.try_into()?))
}
