//! An axum service behind all three layers, over real sockets.

use std::net::SocketAddr;

use axum::{Extension, Router, response::Response, routing::get};
use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, MemoryStore, NewToken, Principal, RequireLayer, SystemRng,
    Tokens, token::KeyRing,
};
use tower_plugin_ratelimit::{ClientIp, RateLimitLayer, key};
use tower_plugin_validate::{CanonicalPath, RuleSet, ValidateLayer};

#[tokio::test]
async fn f40_all_three_layers_guard_an_axum_service() {
    let tokens = tokens();
    let issued = tokens.issue(NewToken::runtime(&"plugin".parse().unwrap()));
    let issued = issued.await.unwrap();
    let bearer = format!("Bearer {}", issued.token().expose());
    let server = Server::start(&tokens).await;

    // Who it is and where it goes reaches the handler.
    let (status, body) = server.get("/whoami", Some(&bearer)).await;
    assert_eq!(status, 200);
    assert_eq!(body, format!("{} /whoami", issued.principal().subject()));

    // Refused by validation, before anything was spent.
    assert_eq!(server.get("/%2e%2e/whoami", Some(&bearer)).await.0, 400);
    // Refused by authentication, at the cost of one from the address.
    assert_eq!(server.get("/whoami", None).await.0, 401);
    assert_eq!(server.get("/whoami", Some("Bearer tpr_no")).await.0, 401);

    // The principal has two an hour, of which one was spent.
    assert_eq!(server.get("/whoami", Some(&bearer)).await.0, 200);
    assert_eq!(server.get("/whoami", Some(&bearer)).await.0, 429);

    // Revoked, it is nobody.
    let id = issued.token().id();
    assert!(tokens.revoke(&id).await.unwrap());
    assert_eq!(server.get("/whoami", Some(&bearer)).await.0, 401);

    // The address has seven an hour; they are spent now, each connection included.
    assert_eq!(server.get("/whoami", None).await.0, 401);
    let (status, body) = server.get("/whoami", None).await;
    assert_eq!(status, 429);
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["code"], "resource_exhausted");
}

struct Server {
    address: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Server {
    async fn start(tokens: &Tokens<MemoryStore>) -> Self {
        let quota = |text: &str| text.parse::<tower_plugin_ratelimit::Quota>().unwrap();
        let guarded = ServiceBuilder::new()
            .layer(ValidateLayer::new(
                RuleSet::http().with_canonical_path(true),
            ))
            .layer(RateLimitLayer::new(quota("7/h"), ClientIp::peer()))
            .layer(AuthLayer::new(BearerAuthenticator::new(tokens.clone())))
            .layer(RateLimitLayer::new(quota("2/h"), key::Principal))
            .layer(RequireLayer::new());
        let app = Router::new().route("/whoami", get(whoami)).layer(guarded);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        let mut client = Client::builder(TokioExecutor::new());
        // A connection for each request.
        let client = client.pool_max_idle_per_host(0).build_http();
        Self { address, client }
    }

    async fn get(&self, path: &str, authorization: Option<&str>) -> (u16, String) {
        let mut request = Request::get(format!("http://{}{path}", self.address));
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::new()).unwrap();
        let response: Response<_> = self.client.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

async fn whoami(caller: Extension<Principal>, path: Extension<CanonicalPath>) -> String {
    format!("{} {}", caller.subject(), path.as_str())
}

fn tokens() -> Tokens<MemoryStore> {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let store = MemoryStore::new(100).unwrap();
    Tokens::builder(store, keys).build().unwrap()
}
