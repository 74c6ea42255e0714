//! All layers in front of a service that only says hello, put together as a service's own would be.
//!
//! From the outside in: what leaves the server, the transport, limits and path, the address' quota, who is
//! calling, the caller's quota, and whether that may be.

use std::error::Error;

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, MemoryStore, NewToken, RequireLayer,
    RequireSecureTransportLayer, SystemRng, Tokens, token::KeyRing, transport::SecureTransport,
};
use tower_plugin_ratelimit::{ClientIp, MemoryLimiter, Quota, RateLimitLayer, key};
use tower_plugin_validate::{SanitizeErrorsLayer, ValidateLayer};

/// How much the layers let through, and for how many.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How often one address may call.
    pub per_address: Quota,
    /// How often one principal may.
    pub per_principal: Quota,
    /// How many principals there are.
    pub principals: usize,
}

impl Limits {
    /// Everything, and one principal.
    ///
    /// # Panics
    ///
    /// Never: the quota is a constant.
    #[must_use]
    pub fn plenty() -> Self {
        let quota = "1000000000/s".parse().expect("a quota");
        Self {
            per_address: quota,
            per_principal: quota,
            principals: 1,
        }
    }
}

macro_rules! layers {
    ($validate:expr, $tokens:expr, $limits:expr) => {{
        let Limits {
            per_address,
            per_principal,
            principals,
        } = $limits;
        let transport = RequireSecureTransportLayer::new(SecureTransport::Enforce);
        let callers = MemoryLimiter::new(principals).expect("a capacity in range");
        ServiceBuilder::new()
            .layer(SanitizeErrorsLayer::new())
            .layer(transport.with_insecure_loopback())
            .layer($validate)
            .layer(RateLimitLayer::new(per_address, ClientIp::peer()))
            .layer(AuthLayer::new(BearerAuthenticator::new($tokens.clone())))
            .layer(RateLimitLayer::with_limiter(
                callers,
                per_principal,
                key::Principal,
            ))
            .layer(RequireLayer::new())
    }};
}

/// Says hello to whoever asks.
pub fn bare_axum() -> Router {
    Router::new().route("/hello", get(async || "hello"))
}

/// Says hello behind all layers.
///
/// # Panics
///
/// If there is no or too large a number of principals.
pub fn guarded_axum(tokens: &Tokens<MemoryStore>, limits: Limits) -> Router {
    bare_axum().layer(layers!(ValidateLayer::http(), tokens, limits))
}

/// Serves a health service behind all layers.
///
/// # Errors
///
/// Those of the transport.
///
/// # Panics
///
/// If there is no or too large a number of principals.
pub async fn serve_guarded_tonic(
    listener: TcpListener,
    tokens: &Tokens<MemoryStore>,
    limits: Limits,
) -> Result<(), tonic::transport::Error> {
    let (_, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(layers!(ValidateLayer::grpc(), tokens, limits))
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}

/// Tokens of this many principals, as their owners send them.
///
/// # Errors
///
/// Those of the token store.
pub async fn issue(
    principals: usize,
) -> Result<(Tokens<MemoryStore>, Vec<String>), Box<dyn Error + Send + Sync>> {
    let store = MemoryStore::new(principals)?;
    let tokens = Tokens::builder(store, KeyRing::random(&SystemRng)?).build()?;
    let mut texts = Vec::with_capacity(principals);
    for _ in 0..principals {
        let issued = tokens.issue(NewToken::runtime(&"load".parse()?)).await?;
        texts.push(issued.token().expose().to_owned());
    }
    Ok((tokens, texts))
}
