//! TLS: what is spoken, who is let in, and certificates that change while it serves.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Extension, Router, routing::get};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{PrivatePkcs8KeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_plugin_auth::{
    AuthLayer, RequireSecureTransportLayer, authenticate::MtlsAuthenticator,
    transport::SecureTransport,
};
use tower_plugin_core::{Principal, SystemClock};
use tower_plugin_examples::host::{Connections, HostState, Options, build_with, serve, tls::Tls};

use crate::{
    process::{Program, close, paste_with},
    support::HANDSHAKE,
};

const WAIT: Duration = Duration::from_secs(30);

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, and the key to it.
struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose subject is its issuer for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "Example Authority");
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn server(&self, serial: u64) -> Leaf {
        let mut params =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    fn client(&self, uri: &str) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf { certificate, key }
    }
}

/// The files a host is told of.
struct Files(TempDir);

impl Files {
    fn new(authority: &Authority) -> Self {
        let files = Self(TempDir::new().unwrap());
        files.put(&authority.server(1));
        std::fs::write(files.path("ca.pem"), authority.0.pem()).unwrap();
        files
    }

    fn put(&self, leaf: &Leaf) {
        std::fs::write(self.path("key.pem"), leaf.key.serialize_pem()).unwrap();
        close(&self.path("key.pem"));
        std::fs::write(self.path("cert.pem"), leaf.certificate.pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self, more: &[&str]) -> Options {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        let mut arguments = vec![
            "plugin-host",
            "--tls-cert",
            cert.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        arguments.extend(more);
        Options::try_parse_from(arguments).unwrap()
    }
}

struct Host {
    address: SocketAddr,
    tls: Tls,
    connections: Connections,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Host {
    /// With routes that say who is calling, where that is known by certificate.
    async fn start(files: &Files, more: &[&str]) -> Self {
        let options = files.options(more);
        let (bounds, tls) = (options.bounds(), options.load_tls().unwrap().unwrap());
        let (config, _) = options.into_config(None).unwrap();
        let state = Arc::new(HostState::new(config, Arc::new(SystemClock::new())).unwrap());
        let who = |caller: Extension<Principal>| async move {
            format!("{} {}", caller.kind(), caller.subject())
        };
        let own = Router::new()
            .route("/who", get(who))
            .layer(AuthLayer::new(MtlsAuthenticator::new()))
            .layer(RequireSecureTransportLayer::new(SecureTransport::Enforce));
        let app = build_with(&state, own);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = state.listener(listener).unwrap();
        let (address, connections) = (listener.address(), state.telemetry().connections());
        let listener = listener
            .with_tls(Some(tls.clone()))
            .with_connections(connections.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(listener, app, state.readiness(), bounds, stopped).await;
        });
        Self {
            address,
            tls,
            connections,
            stop,
            served,
        }
    }

    async fn connect(&self, caller: &Caller<'_>) -> std::io::Result<TlsStream<TcpStream>> {
        caller.connect(self.address).await
    }

    /// Status and body of a GET over HTTP/1.1. A refused certificate shows with the first answer.
    async fn get(&self, caller: &Caller<'_>, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = self.connect(caller).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer[9..12].parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        Ok((status, body.to_owned()))
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(WAIT, self.served).await.unwrap().unwrap();
    }
}

impl Host {
    /// The status of a handshake under this name.
    async fn shake_hands(&self, caller: &Caller<'_>, self_id: &str) -> u16 {
        let body = serde_json::json!({
            "coreProtocolVersion": 1,
            "appProtocolVersion": 1,
            "selfId": self_id,
        });
        let body = body.to_string();
        let mut stream = self.connect(caller).await.unwrap();
        let request = format!(
            "POST {HANDSHAKE} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer[9..12].parse().unwrap()
    }
}

struct Caller<'a> {
    authority: &'a Authority,
    leaf: Option<&'a Leaf>,
    protocols: &'a [&'a [u8]],
}

impl<'a> Caller<'a> {
    fn new(authority: &'a Authority, leaf: Option<&'a Leaf>) -> Self {
        Self {
            authority,
            leaf,
            protocols: &[b"http/1.1"],
        }
    }

    async fn connect(&self, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(to).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(self.config()))
            .connect(name, stream)
            .await
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.leaf {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivatePkcs8KeyDer::from(leaf.key.serialize_der());
                let chain = vec![leaf.certificate.der().clone()];
                builder.with_client_auth_cert(chain, key.into()).unwrap()
            }
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        config
    }
}

fn serial(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    // The certificates differ in nothing else that is looked at here.
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_as_agreed_in_the_handshake() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let host = Host::start(&files, &["--require-tls"]).await;
    let mut caller = Caller::new(&authority, None);

    caller.protocols = &[b"h2", b"http/1.1"];
    let stream = host.connect(&caller).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = || {
        http::Request::get("https://localhost/readyz")
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    let answer = client.send_request(request()).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "ready"
    );
    drop(client);
    connection.await.unwrap().unwrap();

    caller.protocols = &[b"http/1.1"];
    let stream = host.connect(&caller).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("/readyz")
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop(client);
    host.stop().await;
}

#[tokio::test]
async fn what_is_not_tls_1_2_or_later_is_refused() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let host = Host::start(&files, &[]).await;
    // A ClientHello of TLS 1.1 with one suite of its time.
    let hello = {
        let mut body = vec![3, 2];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0xc0, 0x14, 1, 0]);
        let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
        record.extend(message);
        record
    };
    for said in [
        &hello[..],
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        // It may be reset after the alert.
        let _ended = timeout(WAIT, stream.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        if said == hello {
            // A fatal alert: protocol_version, or handshake_failure.
            assert_eq!(answer.first(), Some(&21), "{answer:?}");
            assert_eq!(answer.get(5), Some(&2), "{answer:?}");
        }
    }
    assert_eq!(
        host.get(&Caller::new(&authority, None), "/healthz")
            .await
            .unwrap(),
        (200, "ok".to_owned())
    );
    assert_eq!(host.connections.failed_handshakes(), 2);
    host.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let host = Host::start(
        &files,
        &["--tls-handshake-timeout", "1s", "--tls-handshakes", "1"],
    )
    .await;
    let begin = Instant::now();
    let mut silent = TcpStream::connect(host.address).await.unwrap();
    let mut answer = Vec::new();
    let ended = timeout(WAIT, silent.read_to_end(&mut answer)).await;
    assert!(ended.is_ok() && answer.is_empty());
    assert!(begin.elapsed() >= Duration::from_millis(900));
    // And its place is free again.
    let answer = host.get(&Caller::new(&authority, None), "/healthz").await;
    assert_eq!(answer.unwrap().0, 200);
    host.stop().await;
}

// Two addresses with half of the places each used to keep everyone out.
#[tokio::test]
async fn an_address_waits_for_its_own_handshakes_and_nobody_elses() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let arguments = ["--tls-handshake-timeout", "1m", "--tls-handshakes", "16"];
    let host = Host::start(&files, &arguments).await;
    let mut silent = Vec::new();
    for address in ["127.0.0.2:0", "127.0.0.3:0"] {
        for _ in 0..20 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(address.parse().unwrap()).unwrap();
            silent.push(socket.connect(host.address).await.unwrap());
        }
    }
    while host.connections.open() < silent.len() {
        tokio::task::yield_now().await;
    }
    let caller = Caller::new(&authority, None);
    let answer = timeout(WAIT, host.get(&caller, "/healthz")).await;
    assert_eq!(answer.expect("kept waiting").unwrap().0, 200);
    drop(silent);
    host.stop().await;
}

#[tokio::test]
async fn a_silent_handshake_does_not_keep_the_host_from_ending() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let host = Host::start(&files, &["--drain", "1m", "--tls-handshake-timeout", "1m"]).await;
    let silent = TcpStream::connect(host.address).await.unwrap();
    while host.connections.open() == 0 {
        tokio::task::yield_now().await;
    }
    let begin = Instant::now();
    host.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(20));
    drop(silent);
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = Files::new(&authority);
    let cache = authority.client("spiffe://example.org/cache");
    let stranger = other.client("spiffe://example.org/cache");
    let ca = files.path("ca.pem");
    let ca = ["--tls-client-ca", ca.to_str().unwrap()];
    let caller = |leaf| Caller::new(&authority, leaf);

    let optional = [ca[0], ca[1], "--tls-client-auth", "optional"];
    let host = Host::start(&files, &optional).await;
    let known = host.get(&caller(Some(&cache)), "/who").await.unwrap();
    assert_eq!(
        known,
        (200, "mtls-uri spiffe://example.org/cache".to_owned())
    );
    let (status, _) = host.get(&caller(None), "/who").await.unwrap();
    assert_eq!(status, 401);
    assert_eq!(host.get(&caller(None), "/healthz").await.unwrap().0, 200);
    // Optional is not unverified.
    assert!(
        host.get(&caller(Some(&stranger)), "/healthz")
            .await
            .is_err()
    );
    host.stop().await;

    let host = Host::start(&files, &ca).await;
    assert!(host.tls.requires_client_certificate());
    assert_eq!(
        host.get(&caller(Some(&cache)), "/who").await.unwrap(),
        known
    );
    assert!(host.get(&caller(None), "/healthz").await.is_err());
    assert!(
        host.get(&caller(Some(&stranger)), "/healthz")
            .await
            .is_err()
    );
    host.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_a_bad_one_to_nobody() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let host = Host::start(&files, &[]).await;
    let caller = Caller::new(&authority, None);
    let old = host.connect(&caller).await.unwrap();
    let first = serial(&old);
    assert!(!host.tls.reload().await.unwrap());

    files.put(&authority.server(2));
    assert!(host.tls.reload().await.unwrap());
    let second = serial(&host.connect(&caller).await.unwrap());
    assert_ne!(first, second);

    // Half of a change: the certificate of another key.
    let (third, fourth) = (authority.server(3), authority.server(4));
    std::fs::write(files.path("cert.pem"), third.certificate.pem()).unwrap();
    let error = host.tls.reload().await.unwrap_err().to_string();
    assert!(
        error.starts_with("--tls-cert and --tls-key do not make a server"),
        "{error}"
    );
    // Said once.
    assert!(!host.tls.reload().await.unwrap());
    assert_eq!(serial(&host.connect(&caller).await.unwrap()), second);

    for (content, message) in [
        ("", "holds no certificate"),
        ("s3cr3t", "holds no certificate"),
    ] {
        std::fs::write(files.path("cert.pem"), content).unwrap();
        let error = host.tls.reload().await.unwrap_err().to_string();
        assert!(
            error.contains(message) && !error.contains("s3cr3t"),
            "{error}"
        );
    }
    std::fs::remove_file(files.path("cert.pem")).unwrap();
    assert!(host.tls.reload().await.is_err());
    assert_eq!(serial(&host.connect(&caller).await.unwrap()), second);

    files.put(&fourth);
    assert!(host.tls.reload().await.unwrap());
    assert_eq!(
        serial(&host.connect(&caller).await.unwrap()),
        fourth.certificate.der().to_vec()
    );
    drop(old);
    host.stop().await;
}

#[tokio::test(start_paused = true)]
async fn changed_files_are_found_without_being_told() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let host = Host::start(&files, &[]).await;
    let reloading = host.tls.reload_every(Duration::from_secs(30));
    let caller = Caller::new(&authority, None);
    let next = authority.server(2);
    files.put(&next);
    timeout(Duration::from_secs(3600), async {
        while serial(&host.connect(&caller).await.unwrap()) != next.certificate.der().to_vec() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
    .unwrap();
    // Who drops it stops it.
    drop(reloading);
    files.put(&authority.server(3));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(
        serial(&host.connect(&caller).await.unwrap()),
        next.certificate.der().to_vec()
    );
    host.stop().await;
}

#[test]
fn files_that_make_no_server_are_refused_by_flag() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let refused = |more: &[&str]| files.options(more).load_tls().unwrap_err().to_string();
    let good = std::fs::read(files.path("key.pem")).unwrap();
    let key = files.path("key.pem");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = refused(&[]);
        assert!(
            error.starts_with("--tls-key ") && error.ends_with("chmod 600 it"),
            "{error}"
        );
        close(&key);
    }
    std::fs::write(&key, "s3cr3t").unwrap();
    let error = refused(&[]);
    assert!(
        error.ends_with("holds no private key in PEM") && !error.contains("s3cr3t"),
        "{error}"
    );
    std::fs::write(&key, good).unwrap();

    let cert = files.path("cert.pem");
    std::fs::write(files.path("empty.pem"), "").unwrap();
    let empty = files.path("empty.pem");
    let error = refused(&["--tls-client-ca", empty.to_str().unwrap()]);
    assert!(
        error.starts_with("--tls-client-ca ") && error.contains("no certificate"),
        "{error}"
    );
    std::fs::remove_file(&cert).unwrap();
    std::fs::create_dir(&cert).unwrap();
    assert!(refused(&[]).ends_with("not a regular file"));
}

#[tokio::test]
async fn the_printed_commands_work_over_mutual_tls() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let client = authority.client("spiffe://example.org/curl");
    std::fs::write(files.path("client.pem"), client.certificate.pem()).unwrap();
    std::fs::write(files.path("client.key"), client.key.serialize_pem()).unwrap();
    let path = |name| files.path(name).to_str().unwrap().to_owned();
    let (cert, key, ca) = (path("cert.pem"), path("key.pem"), path("ca.pem"));
    let arguments = [
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
        "--register-quota",
        "1000/s",
    ];
    let program = Program::with(&arguments, &[]).await;
    let (client, client_key) = (path("client.pem"), path("client.key"));
    let environment = [
        ("PLUGIN_HOST_CA", ca.as_str()),
        ("PLUGIN_CERT", &client),
        ("PLUGIN_KEY", &client_key),
    ];
    let output = paste_with(&program.script, &environment).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", program.script);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(r#""registrationId":"reg-"#), "{said}");
    assert!(program.script.contains("listens on https://127.0.0.1:"));
    let (status, _) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_certificate_admits_under_the_names_it_is_listed_for() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let rules = files.path("admission.toml");
    let text = r#"
require_manifest = false
rule = "peer"
allowed_peers = [{ kind = "mtls-uri", subject = "spiffe://plugins/cache", self_id = "cache" }]
"#;
    std::fs::write(&rules, text).unwrap();
    let ca = files.path("ca.pem");
    let arguments = [
        "--tls-client-ca",
        ca.to_str().unwrap(),
        "--tls-client-auth",
        "optional",
        "--admission-file",
        rules.to_str().unwrap(),
    ];
    let host = Host::start(&files, &arguments).await;
    let (cache, other) = (
        authority.client("spiffe://plugins/cache"),
        authority.client("spiffe://plugins/other"),
    );
    for (leaf, self_id, status) in [
        (Some(&cache), "cache", 200),
        (Some(&cache), "logger", 403),
        (Some(&other), "cache", 403),
        (None, "cache", 403),
    ] {
        let caller = Caller::new(&authority, leaf);
        assert_eq!(
            host.shake_hands(&caller, self_id).await,
            status,
            "{self_id}"
        );
    }
    host.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_hangup_reads_the_certificate_again() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let path = |name| files.path(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let arguments = ["--tls-cert", &cert, "--tls-key", &key, "--tls-reload", "1h"];
    let program = Program::with(&arguments, &[]).await;
    let address = program
        .url()
        .strip_prefix("https://")
        .unwrap()
        .parse()
        .unwrap();
    let caller = Caller::new(&authority, None);
    let old = serial(&caller.connect(address).await.unwrap());
    let next = authority.server(2);
    files.put(&next);
    assert_eq!(serial(&caller.connect(address).await.unwrap()), old);
    program.send("-HUP").await;
    timeout(WAIT, async {
        while serial(&caller.connect(address).await.unwrap()) == old {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let now = serial(&caller.connect(address).await.unwrap());
    assert_eq!(now, next.certificate.der().to_vec());
    let (_, log) = program.signal("-TERM").await;
    assert!(log.contains("new TLS certificate in use"), "{log}");
}
