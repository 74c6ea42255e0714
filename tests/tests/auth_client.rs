//! `BearerLayer` around a tonic channel, with tokens that a real server verifies.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code,
    transport::{Endpoint, Server},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, ManualClock, MemoryStore, NewToken, SystemRng, Tokens,
    client::{BearerLayer, BearerToken, Origin},
    token::KeyRing,
};

#[tokio::test]
async fn a_tonic_client_calls_with_a_token_and_gets_another_when_it_is_revoked() {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let store = MemoryStore::new(100).unwrap();
    let tokens = Tokens::builder(store, keys).build().unwrap();
    let address = serve(&tokens).await;

    let issued = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(std::sync::Mutex::new(None));
    let source = {
        let (tokens, issued, last) = (tokens.clone(), Arc::clone(&issued), Arc::clone(&last));
        move || {
            let (tokens, issued, last) = (tokens.clone(), Arc::clone(&issued), Arc::clone(&last));
            async move {
                let new = NewToken::runtime(&"cache".parse().unwrap());
                let token = tokens.issue(new).await.unwrap();
                issued.fetch_add(1, SeqCst);
                *last.lock().unwrap() = Some(token.token().id());
                BearerToken::new(token.token().expose(), Duration::from_secs(3600))
            }
        }
    };
    let clock = ManualClock::new();
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let origin = Origin::insecure(&format!("http://{address}")).unwrap();
    let bearer = BearerLayer::new(source, origin).with_clock(clock.clone());
    let channel = ServiceBuilder::new().layer(bearer).service(channel);
    let mut client = HealthClient::new(channel);

    // The first calls at once: one token for all.
    let calls = (0..10).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.check(HealthCheckRequest::default()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let stream = client.watch(HealthCheckRequest::default()).await.unwrap();
    let first = stream.into_inner().message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    assert_eq!(issued.load(SeqCst), 1);

    let id = last.lock().unwrap().take().unwrap();
    assert!(tokens.revoke(&id).await.unwrap());
    clock.advance(Duration::from_secs(11));
    let refused = client.check(HealthCheckRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(issued.load(SeqCst), 2);
}

#[tokio::test]
async fn a_tonic_client_without_a_token_is_told_so_in_its_own_words() {
    let endpoint = Endpoint::from_static("https://localhost:1");
    let down = async || Err::<BearerToken, _>("the endpoint is down");
    let bearer = BearerLayer::new(down, Origin::new("https://localhost:1").unwrap());
    let channel = ServiceBuilder::new()
        .layer(bearer)
        .service(endpoint.connect_lazy());
    let refused = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        refused.message(),
        "there is no token to send; the request was not sent"
    );
    assert!(refused.metadata().contains_key("retry-after"));
}

async fn serve(tokens: &Tokens<MemoryStore>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let guard = AuthLayer::new(BearerAuthenticator::new(tokens.clone()));
    let server = Server::builder().layer(guard).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}
