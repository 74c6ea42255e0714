//! Rate limits in front of an axum service: by address and by principal, by plan, with waiting, and
//! counting only failed logins.
//!
//! `cargo run --bin axum-ratelimit`, then paste what it prints.

use std::{error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use clap::Parser;
use http::HeaderMap;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, MemoryStore, NewToken, Principal, SystemRng, Tokens,
    token::KeyRing,
};
use tower_plugin_ratelimit::{
    ClientIp, Policy, PolicySource, Quota, RateLimitHeaders, RateLimitLayer, key,
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

    let tokens = Tokens::builder(MemoryStore::new(1_000)?, KeyRing::random(&SystemRng)?).build()?;
    let free = issue(&tokens, "alice", "free").await?;
    let gold = issue(&tokens, "bob", "gold").await?;
    println!("listening on {url}; paste:");
    println!("FREE={free}");
    println!("GOLD={gold}");
    println!("# Plans: alice has 2 a minute, bob 20 (count the 429s).");
    println!(
        "for i in 1 2 3 4; do curl -so /dev/null -w '%{{http_code}} ' -H \"Authorization: Bearer $FREE\" {url}/api; done; echo"
    );
    println!(
        "for i in 1 2 3 4; do curl -so /dev/null -w '%{{http_code}} ' -H \"Authorization: Bearer $GOLD\" {url}/api; done; echo"
    );
    println!("# Waiting: four at once, one every 200 ms.");
    println!(
        "for i in 1 2 3 4; do curl -so /dev/null -w '%{{http_code}}:%{{time_total}}s ' {url}/report & done; wait; echo"
    );
    println!("# Guessing: three failed logins an hour, successful ones are free.");
    println!(
        "for p in letmein hunter2 admin sesame open-sesame; do curl -so /dev/null -w '%{{http_code}} ' -H \"X-Password: $p\" -X POST {url}/login; done; echo"
    );

    let app = app(tokens)?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

fn app(tokens: Tokens<MemoryStore>) -> Result<Router, Box<dyn Error>> {
    // Whoever it is: an address may send so many.
    let by_address = RateLimitLayer::new(
        Policy::new("address", ["50/s:100".parse()?])?,
        ClientIp::peer(),
    );

    // Who it is decides how many: two quotas, charged together.
    let gold = Policy::new("gold", ["20/m".parse()?, "1000/d".parse()?])?;
    let free = Policy::new("free", ["2/m".parse()?, "20/d".parse()?])?;
    let by_plan = PolicySource::per_request(free, move |request| {
        let principal = request.extensions.get::<Principal>()?;
        (principal.attribute("plan")? == "gold").then(|| gold.clone())
    });
    let api = ServiceBuilder::new()
        .layer(AuthLayer::new(BearerAuthenticator::new(tokens)))
        .layer(RateLimitLayer::new(by_plan, key::Principal).with_headers(RateLimitHeaders::Always));

    // Too many at once wait for their turn, up to two seconds and fifty of them.
    let patient = Policy::from("5/s:1".parse::<Quota>()?).with_max_wait(Duration::from_secs(2));
    let report = RateLimitLayer::new(patient, key::Global).with_max_waiting(50);

    // Only wrong passwords count.
    let login = RateLimitLayer::new("3/h".parse::<Quota>()?, ClientIp::peer())
        .with_charge_after(|response| response.status == StatusCode::UNAUTHORIZED);

    Ok(Router::new()
        .merge(Router::new().route("/api", get("api\n")).layer(api))
        .merge(
            Router::new()
                .route("/report", get("report\n"))
                .layer(report),
        )
        .merge(Router::new().route("/login", post(log_in)).layer(login))
        .layer(by_address))
}

async fn log_in(headers: HeaderMap) -> StatusCode {
    match headers.get("x-password") {
        Some(password) if password == "open-sesame" => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    }
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
