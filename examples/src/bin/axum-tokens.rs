//! Tokens over HTTP: an administrator issues and revokes them, their owners call with them and replace them
//! in time.
//!
//! `cargo run --bin axum-tokens`, then paste what it prints.

use std::{error::Error, net::SocketAddr};

use axum::{
    Extension, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use clap::Parser;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, AuthorizeLayer, BearerAuthenticator, MemoryStore, NewToken, Principal,
    RequireSecureTransportLayer, RotateError, SystemRng, TokenStore, Tokens,
    authenticate::{ApiKeyAuthenticator, ApiKeys, FirstOf},
    authorize::{Callers, Permissions},
    store::Found,
    token::{KeyRing, Rng, SelfId, TokenId},
    transport::SecureTransport,
};

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(Arguments::parse().listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let admin = random_key()?;
    let tokens = Tokens::builder(MemoryStore::new(1_000)?, KeyRing::random(&SystemRng)?).build()?;

    println!("listening on {url}; paste:");
    println!("ADMIN={admin}");
    println!("# The administrator has a key; nobody else issues tokens.");
    println!("curl -so /dev/null -w '%{{http_code}}\\n' -X POST {url}/tokens/cache");
    println!(
        "set -- $(curl -s -H \"X-API-Key: $ADMIN\" -X POST {url}/tokens/cache); TOKEN=$1 ID=$2"
    );
    println!("# Its owner calls with it, and may not do what the administrator may.");
    println!("curl -s -H \"Authorization: Bearer $TOKEN\" {url}/whoami");
    println!(
        "curl -so /dev/null -w '%{{http_code}}\\n' -H \"Authorization: Bearer $TOKEN\" -X DELETE {url}/tokens/$ID"
    );
    println!("# He replaces it, once. For 30 seconds both are good, and he is still the same.");
    println!("OLD=$TOKEN");
    println!(
        "set -- $(curl -s -H \"Authorization: Bearer $OLD\" -X POST {url}/token/rotate); TOKEN=$1 ID=$2"
    );
    println!("curl -s -H \"Authorization: Bearer $OLD\" {url}/whoami");
    println!("curl -s -H \"Authorization: Bearer $TOKEN\" {url}/whoami");
    println!(
        "curl -so /dev/null -w '%{{http_code}}\\n' -H \"Authorization: Bearer $OLD\" -X POST {url}/token/rotate"
    );
    println!("# Revoked, it is nobody's; and no other of its family is anybody's either.");
    println!(
        "curl -so /dev/null -w '%{{http_code}}\\n' -H \"X-API-Key: $ADMIN\" -X DELETE {url}/tokens/$ID"
    );
    println!(
        "curl -so /dev/null -w '%{{http_code}}\\n' -H \"Authorization: Bearer $OLD\" {url}/whoami"
    );
    println!("curl -s -H \"Authorization: Bearer $TOKEN\" {url}/whoami; echo");

    let app = app(tokens, &admin)?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

fn app(tokens: Tokens<MemoryStore>, admin: &str) -> Result<Router, Box<dyn Error>> {
    let admin = [(admin, Principal::new("admin", "console"))];
    // Either credential; a bad one is not made up for by the other.
    let who = FirstOf::builder()
        .or(BearerAuthenticator::new(tokens.clone()))
        .or(ApiKeyAuthenticator::new(ApiKeys::new(admin, &SystemRng)?))
        .build()?;
    // What is not written here, nobody may do.
    let permissions = Permissions::new()
        .permit(Callers::any(), "GET /whoami".parse()?)
        .permit(Callers::kind("runtime"), "POST /token/rotate".parse()?)
        .permit(Callers::kind("admin"), "POST|DELETE /tokens/*".parse()?);
    let guard = ServiceBuilder::new()
        // On a network this says `Enforce`, and nothing of loopback.
        .layer(RequireSecureTransportLayer::new(SecureTransport::Warn).with_insecure_loopback())
        .layer(AuthLayer::new(who))
        .layer(AuthorizeLayer::new(permissions));

    Ok(Router::new()
        .route("/whoami", get(whoami))
        .route("/token/rotate", post(rotate))
        .route("/tokens/{name_or_id}", post(issue).delete(revoke))
        .with_state(tokens)
        .layer(guard))
}

async fn whoami(caller: Extension<Principal>) -> String {
    format!("{}\n", caller.subject())
}

/// Answers with the token, this once, and with the id to revoke it by.
async fn issue(
    State(tokens): State<Tokens<MemoryStore>>,
    Path(name): Path<String>,
) -> Result<String, StatusCode> {
    let name: SelfId = name.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let issued = tokens.issue(NewToken::runtime(&name)).await;
    let issued = issued.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let token = issued.token();
    Ok(format!("{} {}\n", token.expose(), token.id()))
}

/// The caller's own token, and no other: its id is in what the layer has found out.
async fn rotate(
    State(tokens): State<Tokens<MemoryStore>>,
    caller: Extension<Principal>,
) -> Result<String, StatusCode> {
    let id = caller.token_id().and_then(|id| id.parse::<TokenId>().ok());
    match tokens.rotate(&id.ok_or(StatusCode::FORBIDDEN)?).await {
        Ok(next) => Ok(format!("{} {}\n", next.token().expose(), next.token().id())),
        Err(RotateError::AlreadyRotated) => Err(StatusCode::CONFLICT),
        Err(RotateError::NotLive | RotateError::OneTime) => Err(StatusCode::FORBIDDEN),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Ends a token, the one it has replaced and the one that has replaced it.
async fn revoke(
    State(tokens): State<Tokens<MemoryStore>>,
    Path(id): Path<String>,
) -> Result<StatusCode, StatusCode> {
    let id: TokenId = id.parse().map_err(|_| StatusCode::NOT_FOUND)?;
    let found: Found = tokens.store().get(&id).await;
    let record = found.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let family = record.ok_or(StatusCode::NOT_FOUND)?.family();
    match tokens.revoke_family(&family).await {
        Ok(0) => Err(StatusCode::NOT_FOUND),
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// For this run; yours comes from a secret store.
fn random_key() -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 24];
    SystemRng.fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
