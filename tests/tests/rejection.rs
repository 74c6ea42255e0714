//! Every refusal, read back by the client libraries that will meet it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use connectrpc::{
    ConnectError,
    client::{ClientConfig, HttpClient},
};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Empty};
use tokio::net::TcpListener;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, SystemRng, Tokens,
    store::RedisStore,
    token::{KeyRing, TokenKind, mint},
};
use tower_plugin_core::{Code, Rejection, ResponseBody, Violation};
use tower_plugin_examples::proto::connectplugin::v1::{
    HandshakeRequest, HandshakeServiceClient, ServiceRegistryClient, WatchServiceRequest,
};

#[test]
fn tonic_reads_every_code_message_and_detail_from_the_headers() {
    for code in Code::ALL {
        for content_type in ["application/grpc", "application/grpc-web+proto"] {
            let mut request = HeaderMap::new();
            request.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            let response: http::Response<ResponseBody<Empty<bytes::Bytes>>> =
                rejection(code).into_response(&request);
            let status = tonic::Status::from_header_map(response.headers()).unwrap();
            assert_is(&status, code);
        }
    }
}

#[tokio::test]
async fn a_tonic_client_reads_every_code_over_the_wire() {
    let address = serve().await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = channel.unwrap().connect().await.unwrap();
    for code in Code::ALL {
        let mut client = HealthClient::new(channel.clone());
        let status = client.check(asking_for(code)).await.unwrap_err();
        assert_is(&status, code);
        // A streaming call is refused before the stream begins.
        let status = client.watch(asking_for(code)).await.unwrap_err();
        assert_is(&status, code);
    }
}

#[tokio::test]
async fn a_connect_client_reads_every_code_over_the_wire() {
    let address = serve().await;
    let uri: http::Uri = format!("http://{address}").parse().unwrap();
    for code in Code::ALL {
        let number = code.number().to_string();
        let config = ClientConfig::new(uri.clone()).with_default_header(ASKED_FOR, number);
        let unary = HandshakeServiceClient::new(HttpClient::plaintext(), config.clone());
        let error = unary.handshake(HandshakeRequest::default()).await.err();
        assert_is_connect(&error.unwrap(), code);

        let registry = ServiceRegistryClient::new(HttpClient::plaintext(), config.clone());
        let error = match registry.watch_service(WatchServiceRequest::default()).await {
            Err(error) => error,
            Ok(mut stream) => match stream.message().await {
                Err(error) => error,
                Ok(_) => stream.error().cloned().unwrap(),
            },
        };
        assert_is_connect(&error, code);

        let config = config.with_protocol(connectrpc::Protocol::GrpcWeb);
        let web = HandshakeServiceClient::new(HttpClient::plaintext(), config);
        let error = web.handshake(HandshakeRequest::default()).await.err();
        assert_eq!(error.unwrap().code.as_str(), code.name(), "gRPC-Web");
    }
}

#[tokio::test]
async fn a_grpc_refusal_has_an_empty_body_and_the_callers_content_type() {
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let mut request = HeaderMap::new();
        request.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let response: http::Response<ResponseBody<Empty<bytes::Bytes>>> =
            rejection(Code::Unauthenticated).into_response(&request);
        assert_eq!(response.headers()[CONTENT_TYPE], content_type);
        let body = response.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none());
        assert_eq!(body.to_bytes().len(), 0);
    }
}

/// Down is not unauthorised: a client that reads a challenge throws a good token away.
#[tokio::test]
async fn a_store_that_is_down_is_unavailable_to_tonic_and_to_connect_clients() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let store = RedisStore::builder(&format!("redis://{}", nobody.local_addr().unwrap()));
    drop(nobody);
    let keys = KeyRing::random(&SystemRng).unwrap();
    let minted = mint(TokenKind::Runtime, &keys, &SystemRng).unwrap();
    let token = minted.token().header_value();
    let token = token.to_str().unwrap();
    let tokens = Tokens::builder(store.build().unwrap(), keys).build();
    let guard = AuthLayer::new(BearerAuthenticator::new(tokens.unwrap()));
    let app = Router::new().fallback(async || "let in");
    let address = serve_app(app.layer(guard)).await;

    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let mut client = HealthClient::new(channel.unwrap().connect().await.unwrap());
    let mut request = asking_for(Code::Unavailable);
    request
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    let status = client.check(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let details = status.get_error_details();
    let delay = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(delay >= Duration::from_secs(1), "{delay:?}");
    assert!(!status.metadata().contains_key("www-authenticate"));

    let uri: http::Uri = format!("http://{address}").parse().unwrap();
    let config = ClientConfig::new(uri).with_default_header("authorization", token);
    let client = HandshakeServiceClient::new(HttpClient::plaintext(), config);
    let answer = client.handshake(HandshakeRequest::default()).await;
    let error = answer.err().unwrap();
    assert_eq!(error.code.as_str(), "unavailable");
    let retry = |detail: &connectrpc::ErrorDetail| detail.type_url == "google.rpc.RetryInfo";
    assert!(error.details.iter().any(retry), "{error:?}");
}

fn assert_is(status: &tonic::Status, code: Code) {
    assert_eq!(status.code(), tonic::Code::from(i32::from(code.number())));
    assert_eq!(status.message(), MESSAGE);
    let details = status.get_error_details();
    let delay = details.retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(DELAY), "{code:?}");
    assert_eq!(details.error_info().unwrap().reason, "GOLDEN");
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(
        (violation.field.as_str(), violation.description.as_str()),
        ("header.x", "must be y")
    );
}

fn assert_is_connect(error: &ConnectError, code: Code) {
    assert_eq!(error.code.as_str(), code.name());
    assert_eq!(error.message.as_deref(), Some(MESSAGE), "{code:?}");
    let types: Vec<_> = error.details.iter().map(|d| d.type_url.as_str()).collect();
    let expected =
        ["ErrorInfo", "RetryInfo", "BadRequest"].map(|name| format!("google.rpc.{name}"));
    assert_eq!(types, expected, "{code:?}");
}

/// A server that refuses everything with the code that is asked for.
async fn serve() -> SocketAddr {
    let app = Router::new().fallback(async |request: Request| -> Response {
        let number: usize = request.headers()[ASKED_FOR]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let response: http::Response<ResponseBody<Body>> =
            rejection(Code::ALL[number - 1]).into_response(request.headers());
        response.map(Body::new)
    });
    serve_app(app).await
}

async fn serve_app(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

fn rejection(code: Code) -> Rejection {
    Rejection::new(code, "GOLDEN", MESSAGE)
        .with_retry_after(DELAY)
        .with_violation(Violation::new("header.x", "RULE", "must be y"))
}

fn asking_for(code: Code) -> tonic::Request<tonic_health::pb::HealthCheckRequest> {
    let mut request = tonic::Request::new(tonic_health::pb::HealthCheckRequest::default());
    request
        .metadata_mut()
        .insert(ASKED_FOR, u16::from(code.number()).into());
    request
}

const ASKED_FOR: &str = "x-code";
const DELAY: Duration = Duration::from_millis(1500);
const MESSAGE: &str = "50 % für 雪";
