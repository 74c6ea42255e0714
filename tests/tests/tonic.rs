//! A tonic service behind all three layers, called by a tonic client: unary and streaming.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, MemoryStore, NewToken, RequireLayer, SystemRng, Tokens,
    token::KeyRing,
};
use tower_plugin_ratelimit::{ClientIp, RateLimitLayer, key};
use tower_plugin_validate::ValidateLayer;

#[tokio::test]
async fn all_three_layers_guard_a_tonic_service() {
    let tokens = tokens();
    let issued = tokens.issue(NewToken::runtime(&"plugin".parse().unwrap()));
    let issued = issued.await.unwrap();
    let bearer = format!("bearer {}", issued.token().expose());
    let address = serve(&tokens).await;
    let mut client = HealthClient::new(connect(address).await);

    // Unary.
    let answer = client.check(with(&bearer)).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);

    // Server streaming: the first message passes through every layer as it comes.
    let stream = client.watch(with(&bearer)).await.unwrap();
    let mut stream = stream.into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    drop(stream);

    // F07: a stream is authenticated as a unary call is.
    let refused = client
        .watch(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let challenge = refused.metadata().get("www-authenticate").unwrap();
    assert_eq!(challenge, "Bearer realm=\"plugins\"");

    let refused = client.check(with("Bearer tpr_no")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refused.message(), "invalid token");

    // The principal has two an hour.
    let refused = client.check(with(&bearer)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let delay = refused
        .get_details_retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert!((1700..=1800).contains(&delay.as_secs()), "{delay:?}");
    assert!(refused.metadata().contains_key("retry-after"));

    // Too much metadata is refused in the same tongue, by a limit below the transport's.
    let mut large = with(&bearer);
    let value = "x".repeat(5000).parse().unwrap();
    large.metadata_mut().insert("x-large", value);
    let refused = client.check(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_details_retry_info().is_none());
    let reason = refused.get_details_error_info().unwrap().reason;
    assert_eq!(reason, "HEADER_VALUE_SIZE");

    // The address is known, and has eight an hour: three are left, for whatever connection.
    for expected in [16, 16, 16, 8] {
        let mut client = HealthClient::new(connect(address).await);
        let refused = client.check(HealthCheckRequest::default()).await;
        assert_eq!(refused.unwrap_err().code(), Code::from(expected));
    }
}

async fn serve(tokens: &Tokens<MemoryStore>) -> SocketAddr {
    let quota = |text: &str| text.parse::<tower_plugin_ratelimit::Quota>().unwrap();
    let guarded = ServiceBuilder::new()
        .layer(ValidateLayer::grpc())
        .layer(RateLimitLayer::new(quota("8/h"), ClientIp::peer()))
        .layer(AuthLayer::new(BearerAuthenticator::new(tokens.clone())))
        .layer(RateLimitLayer::new(quota("2/h"), key::Principal))
        .layer(RequireLayer::new());
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(guarded).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

fn with(authorization: &str) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    let value = authorization.parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn tokens() -> Tokens<MemoryStore> {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let store = MemoryStore::new(100).unwrap();
    Tokens::builder(store, keys).build().unwrap()
}
