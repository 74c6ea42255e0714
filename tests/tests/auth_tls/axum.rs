//! axum, served over TLS by a listener of one's own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::ConnectInfo,
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rcgen::DnType;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, AuthorizeLayer, BearerAuthenticator, Clock, ManualClock, MemoryStore, NewToken,
    Principal, RequireSecureTransportLayer, SystemClock, SystemRng, TlsInfo, Tokens,
    authenticate::{FirstOf, MtlsAuthenticator},
    authorize::{Callers, Permissions},
    token::KeyRing,
    transport::SecureTransport,
};

use crate::support::{
    Authority, Leaf, Listener, Rotating, client_config, dns, listen, server_config, uri,
};

const SPIFFE: &str = "spiffe://prod.example/cache";

/// F04: in the reference, whoever came over TLS was `mtls-client`, with or without a certificate.
#[tokio::test]
async fn f04_a_client_is_who_its_certificate_says_and_nobody_without_one() {
    let server = Server::start().await;
    let ca = &server.authority;
    let spiffe = ca.client(|params| params.subject_alt_names = vec![uri(SPIFFE)]);
    let by_name = ca.client(|params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "Cache Plugin");
    });
    let nameless = ca.client(|_| {});
    let several = ca.client(|params| {
        params.subject_alt_names = vec![uri(SPIFFE), uri("urn:other")];
    });

    let cases: [(Option<&Leaf>, u16, &str); 5] = [
        (Some(&spiffe), 200, "mtls-uri spiffe://prod.example/cache"),
        (Some(&by_name), 200, "mtls-cn Cache Plugin"),
        (None, 401, "authentication required"),
        (Some(&nameless), 401, "invalid credential"),
        (Some(&several), 401, "invalid credential"),
    ];
    for (leaf, status, expected) in cases {
        let mut client = server.connect(leaf).await.unwrap();
        // A header says nothing about who is calling.
        for headers in [
            vec![],
            vec![("x-forwarded-client-cert", "URI=spiffe://prod.example/cache")],
        ] {
            let (found, body) = client.get("/whoami", &headers).await;
            assert_eq!(found, status, "{body}");
            assert!(body.contains(expected), "{body}");
        }
    }

    // One that another authority signed ends the handshake.
    let stranger = Authority::new().client(|params| params.subject_alt_names = vec![uri(SPIFFE)]);
    let outcome = match server.connect(Some(&stranger)).await {
        Ok(mut client) => client.try_get("/whoami", &[]).await.map(|_| ()),
        Err(_) => Err(()),
    };
    assert_eq!(outcome, Err(()));

    // A token is another way in, and does not make up for a bad certificate.
    let token = server
        .tokens
        .issue(NewToken::runtime(&"cache".parse().unwrap()));
    let token = token.await.unwrap();
    let bearer = format!("Bearer {}", token.token().expose());
    let headers = [("authorization", &*bearer)];
    for (leaf, status) in [(None, 200), (Some(&several), 401), (Some(&spiffe), 200)] {
        let mut client = server.connect(leaf).await.unwrap();
        let (found, body) = client.get("/whoami", &headers).await;
        assert_eq!(found, status, "{body}");
        assert_eq!(
            body.contains(SPIFFE),
            leaf.is_some() && status == 200,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_connection_does_not_outlive_the_certificate_it_was_opened_with() {
    let server = Server::start().await;
    let now = SystemClock::new().wall();
    let leaf = server.authority.client(|params| {
        params.subject_alt_names = vec![dns("cache.internal")];
        params.not_before = (now - Duration::from_secs(60)).into();
        params.not_after = (now + Duration::from_secs(3600)).into();
    });
    let mut client = server.connect(Some(&leaf)).await.unwrap();
    assert_eq!(client.get("/whoami", &[]).await.0, 200);
    server.clock.advance(Duration::from_secs(3602));
    assert_eq!(client.get("/whoami", &[]).await.0, 401);
}

#[tokio::test]
async fn the_server_s_certificate_is_rotated_while_it_serves() {
    let server = Server::start().await;
    let leaf = server
        .authority
        .client(|params| params.subject_alt_names = vec![dns("cache.internal")]);
    let mut before = server.connect(Some(&leaf)).await.unwrap();
    assert_eq!(before.get("/whoami", &[]).await.0, 200);

    let next = server.authority.server();
    assert_ne!(before.server_certificate, next.der());
    server.certificate.rotate(&next);

    let mut after = server.connect(Some(&leaf)).await.unwrap();
    assert_eq!(after.server_certificate, next.der());
    assert_eq!(after.get("/whoami", &[]).await.0, 200);
    // What was open goes on.
    assert_eq!(before.get("/whoami", &[]).await.0, 200);
}

#[tokio::test]
async fn permissions_say_who_may_do_what() {
    let server = Server::start().await;
    let ca = &server.authority;
    let cache = ca.client(|params| params.subject_alt_names = vec![uri(SPIFFE)]);
    let other = ca.client(|params| params.subject_alt_names = vec![dns("other.internal")]);
    let mut cache = server.connect(Some(&cache)).await.unwrap();
    let mut other = server.connect(Some(&other)).await.unwrap();
    for (path, by_cache, by_other) in [
        ("/whoami", 200, 200),
        ("/items/7", 200, 403),
        ("/items/7?all=1", 200, 403),
        ("/items/", 403, 403),
        ("/items/7/", 403, 403),
        ("/items/%37", 403, 403),
        ("/items/..%2fwhoami", 403, 403),
        ("/admin", 403, 403),
        ("/nowhere", 403, 403),
    ] {
        assert_eq!(cache.get(path, &[]).await.0, by_cache, "{path}");
        assert_eq!(other.get(path, &[]).await.0, by_other, "{path}");
    }
    // A caller nobody knows is told so before it is told what there is.
    let mut nobody = server.connect(None).await.unwrap();
    for path in ["/whoami", "/admin", "/nowhere"] {
        assert_eq!(nobody.get(path, &[]).await.0, 401, "{path}");
    }
}

struct Server {
    address: SocketAddr,
    authority: Authority,
    certificate: Arc<Rotating>,
    clock: ManualClock,
    tokens: Tokens<MemoryStore>,
}

impl Server {
    async fn start() -> Self {
        let authority = Authority::new();
        let certificate = Rotating::new(&authority.server());
        let clock = ManualClock::new();
        clock.set_wall(SystemClock::new().wall());
        let store = MemoryStore::new(10).unwrap();
        let keys = KeyRing::random(&SystemRng).unwrap();
        let tokens = Tokens::builder(store, keys).build().unwrap();

        let who = FirstOf::builder()
            .or(MtlsAuthenticator::new().with_clock(clock.clone()))
            .or(BearerAuthenticator::new(tokens.clone()));
        let permissions = Permissions::new()
            .permit(Callers::any(), "GET /whoami".parse().unwrap())
            .permit(
                Callers::principal("mtls-uri", SPIFFE),
                "GET /items/*".parse().unwrap(),
            )
            .permit(
                Callers::attribute("role", "admin"),
                "* /**".parse().unwrap(),
            );
        let guard = ServiceBuilder::new()
            .layer(RequireSecureTransportLayer::new(SecureTransport::Enforce))
            .layer(AuthLayer::new(who.build().unwrap()))
            .layer(AuthorizeLayer::new(permissions));
        let app = Router::new()
            .route("/whoami", get(whoami))
            .route("/items/{id}", get("item"))
            .route("/admin", post("admin"))
            .layer(guard);

        let config = server_config(&authority, Arc::clone(&certificate), b"http/1.1");
        let (address, accepted) = listen(config).await;
        let app = app.into_make_service_with_connect_info::<TlsInfo>();
        tokio::spawn(axum::serve(Listener(accepted).tap_io(|_| {}), app).into_future());
        Self {
            address,
            authority,
            certificate,
            clock,
            tokens,
        }
    }

    async fn connect(&self, leaf: Option<&Leaf>) -> Result<Client, std::io::Error> {
        let connector = TlsConnector::from(client_config(&self.authority, leaf));
        let socket = TcpStream::connect(self.address).await?;
        let stream = connector
            .connect("localhost".try_into().unwrap(), socket)
            .await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        let server_certificate = shown[0].clone().into_owned();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(Client {
            sender,
            server_certificate,
        })
    }
}

struct Client {
    sender: SendRequest<Empty<Bytes>>,
    server_certificate: CertificateDer<'static>,
}

impl Client {
    async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        self.try_get(path, headers).await.unwrap()
    }

    async fn try_get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<(u16, String), ()> {
        let mut request = Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await.map_err(drop)?;
        let request = request.body(Empty::new()).unwrap();
        let response = self.sender.send_request(request).await.map_err(drop)?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(drop)?
            .to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    }
}

async fn whoami(caller: Extension<Principal>, info: ConnectInfo<TlsInfo>) -> String {
    assert!(info.peer_addr().unwrap().ip().is_loopback());
    let thumbprint = caller.attribute("x5t#S256");
    assert_eq!(thumbprint.is_some(), caller.kind().starts_with("mtls-"));
    assert!(thumbprint.is_none_or(|thumbprint| thumbprint.len() == 43));
    format!("{} {}", caller.kind(), caller.subject())
}
