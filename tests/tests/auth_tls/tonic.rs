//! tonic, over its own TLS and over a listener whose certificate is rotated.

use std::{net::SocketAddr, sync::Arc};

use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{
    Code,
    transport::{
        Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
    },
};
use tonic_health::{
    pb::{
        HealthCheckRequest,
        health_check_response::ServingStatus,
        health_client::HealthClient,
        health_server::{Health, HealthServer},
    },
    server::health_reporter,
};
use tower::{
    ServiceBuilder,
    layer::util::{Identity as Nothing, Stack},
    service_fn,
};
use tower_plugin_auth::{
    AuthLayer, AuthorizeLayer, RequireSecureTransportLayer,
    authenticate::MtlsAuthenticator,
    authorize::{Callers, Permission, Permissions},
    transport::SecureTransport,
};

use crate::support::{Authority, Leaf, Rotating, dns, listen, server_config, uri};

const SPIFFE: &str = "spiffe://prod.example/cache";

type Guard = Stack<
    AuthorizeLayer<Permissions>,
    Stack<AuthLayer<MtlsAuthenticator>, Stack<RequireSecureTransportLayer, Nothing>>,
>;

fn guard() -> ServiceBuilder<Guard> {
    let check = Permission::rpc("grpc.health.v1.Health", "Check").unwrap();
    let any = Permission::rpc("grpc.health.v1.Health", "*").unwrap();
    let permissions = Permissions::new()
        .permit(Callers::kind("mtls-dns"), check)
        .permit(Callers::principal("mtls-uri", SPIFFE), any);
    ServiceBuilder::new()
        .layer(RequireSecureTransportLayer::new(SecureTransport::Enforce))
        .layer(AuthLayer::new(MtlsAuthenticator::new()))
        .layer(AuthorizeLayer::new(permissions))
}

fn health() -> HealthServer<impl Health> {
    health_reporter().1
}

/// F07: in the reference a stream passed every interceptor.
#[tokio::test]
async fn f07_streams_and_calls_are_authenticated_by_certificate() {
    let authority = Authority::new();
    let server = authority.server();
    let tls = ServerTlsConfig::new()
        .identity(identity(&server))
        .client_ca_root(Certificate::from_pem(authority.pem()))
        .client_auth_optional(true);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().tls_config(tls).unwrap();
    let server = server.layer(guard()).add_service(health());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    check_everybody(address, &authority).await;
}

#[tokio::test]
async fn the_server_s_certificate_is_rotated_while_it_serves() {
    let authority = Authority::new();
    let certificate = Rotating::new(&authority.server());
    let config = server_config(&authority, Arc::clone(&certificate), b"h2");
    let (address, accepted) = listen(config).await;
    let server = Server::builder().layer(guard()).add_service(health());
    tokio::spawn(server.serve_with_incoming(ReceiverStream::new(accepted)));
    check_everybody(address, &authority).await;

    let cache = authority.client(|params| params.subject_alt_names = vec![uri(SPIFFE)]);
    let mut before = HealthClient::new(connect(address, &authority, Some(&cache)).await);
    before.check(HealthCheckRequest::default()).await.unwrap();

    // From now on the server shows what another authority has signed.
    let other = Authority::new();
    certificate.rotate(&other.server());
    let refused = endpoint(address, &authority, Some(&cache)).connect().await;
    assert!(refused.is_err());
    let mut after = HealthClient::new(connect(address, &other, Some(&cache)).await);
    after.check(HealthCheckRequest::default()).await.unwrap();
    before.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn in_clear_there_is_no_service() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(guard()).add_service(health());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let refused = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.message(), "a secure connection is required");
}

/// What never leaves the machine needs no encryption, and proves nothing else.
#[tokio::test]
async fn over_a_unix_socket_a_connection_is_secure_and_nobody_in_particular() {
    let directory = TempDir::new().unwrap();
    let secure = RequireSecureTransportLayer::new(SecureTransport::Enforce);
    let listen = |name: &str| {
        let path = directory.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        (path, UnixListenerStream::new(listener))
    };
    let (open, incoming) = listen("open");
    let server = Server::builder().layer(secure).add_service(health());
    tokio::spawn(server.serve_with_incoming(incoming));
    let (guarded, incoming) = listen("guarded");
    let server = Server::builder().layer(guard()).add_service(health());
    tokio::spawn(server.serve_with_incoming(incoming));

    for (path, expected) in [(open, Code::Ok), (guarded, Code::Unauthenticated)] {
        let connector = service_fn(move |_: http::Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        let mut client = HealthClient::new(channel);
        let call = client.check(HealthCheckRequest::default()).await;
        let code = call.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, expected);
    }
}

async fn check_everybody(address: SocketAddr, authority: &Authority) {
    let cache = authority.client(|params| params.subject_alt_names = vec![uri(SPIFFE)]);
    let other = authority.client(|params| params.subject_alt_names = vec![dns("other.internal")]);
    let stranger = authority.client(|params| {
        params.subject_alt_names = vec![uri("spiffe://prod.example/stranger")];
    });
    let ok = Code::Ok;
    for (leaf, by_call, by_stream) in [
        (Some(&cache), ok, ok),
        (Some(&other), ok, Code::PermissionDenied),
        (
            Some(&stranger),
            Code::PermissionDenied,
            Code::PermissionDenied,
        ),
        (None, Code::Unauthenticated, Code::Unauthenticated),
    ] {
        let mut client = HealthClient::new(connect(address, authority, leaf).await);
        let call = client.check(HealthCheckRequest::default()).await;
        assert_eq!(call.map_or_else(|status| status.code(), |_| ok), by_call);
        match client.watch(HealthCheckRequest::default()).await {
            Ok(stream) => {
                let first = stream.into_inner().message().await.unwrap().unwrap();
                assert_eq!(first.status(), ServingStatus::Serving);
                assert_eq!(by_stream, ok);
            }
            Err(status) => assert_eq!(status.code(), by_stream),
        }
    }
}

fn identity(leaf: &Leaf) -> Identity {
    Identity::from_pem(leaf.certificate.pem(), leaf.key.serialize_pem())
}

fn endpoint(address: SocketAddr, authority: &Authority, leaf: Option<&Leaf>) -> Endpoint {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(authority.pem()))
        .domain_name("localhost");
    if let Some(leaf) = leaf {
        tls = tls.identity(identity(leaf));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap()
}

async fn connect(address: SocketAddr, authority: &Authority, leaf: Option<&Leaf>) -> Channel {
    endpoint(address, authority, leaf).connect().await.unwrap()
}
