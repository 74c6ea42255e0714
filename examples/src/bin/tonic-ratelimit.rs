//! Rate limits in front of a tonic service: by address, by principal and plan, with waiting, and
//! counting only calls that failed to authenticate.
//!
//! `cargo run --bin tonic-ratelimit` starts the server, calls it as three clients would, prints what they
//! saw, and ends. With `--serve` it goes on serving.

use std::{error::Error, net::SocketAddr, time::Duration};

use clap::Parser;
use http::HeaderMap;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request,
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, MemoryStore, NewToken, Principal, SystemRng, Tokens,
    token::KeyRing,
};
use tower_plugin_ratelimit::{ClientIp, Policy, PolicySource, Quota, RateLimitLayer, key};

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Go on serving after the demonstration.
    #[arg(long)]
    serve: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    let address = listener.local_addr()?;
    let tokens = Tokens::builder(MemoryStore::new(1_000)?, KeyRing::random(&SystemRng)?).build()?;
    let free = issue(&tokens, "alice", "free").await?;
    let gold = issue(&tokens, "bob", "gold").await?;

    // A call that is not authenticated tells so in the head of its response.
    let failed = |headers: &HeaderMap| headers.get("grpc-status").is_some_and(|code| code == "16");
    let guessing = RateLimitLayer::new("3/h".parse::<Quota>()?, ClientIp::peer())
        .with_charge_after(move |response| failed(&response.headers));

    let gold_policy = Policy::new("gold", ["100/m".parse()?])?;
    let by_plan = PolicySource::per_request("2/m".parse::<Quota>()?, move |request| {
        let principal = request.extensions.get::<Principal>()?;
        (principal.attribute("plan")? == "gold").then(|| gold_policy.clone())
    });

    // All callers together: five a second, and whoever comes too early waits.
    let patient = Policy::from("5/s:1".parse::<Quota>()?).with_max_wait(Duration::from_secs(2));

    let guard = ServiceBuilder::new()
        .layer(guessing)
        .layer(AuthLayer::new(BearerAuthenticator::new(tokens)))
        .layer(RateLimitLayer::new(by_plan, key::Principal))
        .layer(RateLimitLayer::new(patient, key::Global));
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(guard).add_service(health);
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    println!("listening on http://{address}");
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    println!("alice (2/m):   {}", calls(&channel, &free, 4).await);
    println!("bob (100/m):   {}", calls(&channel, &gold, 4).await);
    println!("guessing (3/h):{}", calls(&channel, "tpr_guess", 5).await);

    if arguments.serve {
        serving.await??;
    }
    Ok(())
}

/// The gRPC status of so many calls, one after the other.
async fn calls(channel: &Channel, token: &str, count: usize) -> String {
    let mut client = HealthClient::new(channel.clone());
    let mut seen = String::new();
    for _ in 0..count {
        let mut request = Request::new(HealthCheckRequest::default());
        if let Ok(value) = format!("Bearer {token}").parse() {
            request.metadata_mut().insert("authorization", value);
        }
        let code = match client.check(request).await {
            Ok(_) => tonic::Code::Ok,
            Err(status) => status.code(),
        };
        seen.push_str(&format!(" {code:?}"));
    }
    seen
}

async fn issue(
    tokens: &Tokens<MemoryStore>,
    name: &str,
    plan: &str,
) -> Result<String, Box<dyn Error>> {
    let new = NewToken::for_subject("user", name).with_attribute("plan", plan);
    let issued = tokens.issue(new).await?;
    Ok(issued.token().expose().to_owned())
}
