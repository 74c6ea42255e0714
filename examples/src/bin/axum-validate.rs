//! Request heads checked in front of an axum service: rules for every request and for a route, typed
//! metadata for handlers, redirects to the canonical path, and new rules tried out before they bite.
//!
//! `cargo run --bin axum-validate`, then paste what it prints.

use std::{error::Error, net::SocketAddr};

use axum::{
    Extension, Router,
    extract::Path,
    routing::{get, post},
};
use clap::Parser;
use http::Method;
use serde::Deserialize;
use tokio::net::TcpListener;
use tower::Layer;
use tower_plugin_validate::{
    CanonicalPath, LiveRules, Metadata, Mode, Part, Route, RouteRules, RuleSet, TypedMetadata,
    ValidateLayer,
    format::{Format, UrlRule},
    limits::Limits,
    metadata::{RISKY_NAMES, Rule, Schema},
    path::{NonCanonical, PathRules},
};
use validator::Validate;

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
    let head = "curl --path-as-is -so /dev/null -w '%{http_code} '";
    let tenant = "-H 'X-Tenant-Id: 7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11'";

    println!("listening on {url}; paste:");
    println!(
        "# Paths: one spelling passes, a harmless other one is redirected, the rest is refused."
    );
    println!(
        "for p in /files/a.txt /files/%61.txt /files/../admin /files/%2e%2e/admin /files/a%2fb; do {head} {url}$p; done; echo"
    );
    println!(
        "# Rules for metadata are watched at first, then enforced: every request names its tenant."
    );
    println!(
        "{head} {url}/files/a; {head} -X POST {url}/admin/enforce; {head} {url}/files/a; {head} {tenant} {url}/files/a; echo"
    );
    println!("# A handler gets its page from the header fields, already checked.");
    println!("for n in 20 0 many; do {head} -H \"X-Page-Size: $n\" {url}/orders; done; echo");
    println!("# A new order needs an idempotency key, and may not be called back inside.");
    println!("{head} -X POST {url}/orders; echo");
    println!(
        "for u in https://hooks.example.com/in http://hooks.example.com/ https://169.254.169.254/ https://2130706433/; do {head} -X POST -H 'Idempotency-Key: k1' -H \"X-Callback: $u\" {url}/orders; done; echo"
    );
    axum::serve(listener, app()?).await?;
    Ok(())
}

/// The rules around the whole router, so that they see a path before it is routed.
fn app() -> Result<Router, Box<dyn Error>> {
    let live = LiveRules::new(rules()?);
    let router = Router::new()
        .route("/files/{*path}", get(file))
        .route("/orders", get(orders).post("taken\n"))
        .route("/admin/enforce", post(enforce))
        .layer(Extension(live.clone()));
    Ok(Router::new().fallback_service(ValidateLayer::new(live).layer(router)))
}

fn rules() -> Result<RuleSet, Box<dyn Error>> {
    let every = Schema::builder()
        .key("x-tenant-id", Rule::from(Format::Uuid).required())
        .forbid(RISKY_NAMES)
        .build()?;
    let order = Schema::builder()
        .key("idempotency-key", Rule::text().max_bytes(64).required())
        .key("x-callback", Rule::url(UrlRule::https()))
        .build()?;
    let new_order = Route::new("/orders")?.with_method(Method::POST);
    let page = TypedMetadata::checked::<Page>()?;
    let any = Schema::builder().build()?;
    Ok(RuleSet::http()
        .with_limits(
            Limits::http()
                .to_builder()
                .header_count(50)
                .declared_body(1 << 20)
                .build()?,
        )
        .with_path(PathRules::http().with_non_canonical(NonCanonical::Redirect))
        .with_canonical_path(true)
        .with_route(new_order, RouteRules::new().with_schema(order))
        .with_route(
            Route::new("/orders")?,
            RouteRules::new().with_schema(any.clone()).with_typed(page),
        )
        .with_route(
            Route::new("/admin/{*rest}")?,
            RouteRules::new().with_schema(any),
        )
        .with_schema(every)
        .with_part_mode(Part::Metadata, Mode::Observe))
}

/// What a list of orders is asked with.
#[derive(Deserialize, Validate)]
#[serde(rename_all = "kebab-case")]
struct Page {
    #[validate(range(min = 1, max = 100, message = "must be from 1 to 100"))]
    x_page_size: u32,
}

async fn orders(page: Extension<Metadata<Page>>) -> String {
    format!("{} orders\n", page.x_page_size)
}

async fn file(Path(path): Path<String>, canonical: Extension<CanonicalPath>) -> String {
    format!("{path} is {}\n", canonical.as_str())
}

/// Whoever may call this in earnest is for an authentication layer to say.
async fn enforce(live: Extension<LiveRules>) -> String {
    let observed = live.counts().observed;
    live.set(live.get().as_ref().clone().with_mode(Mode::Enforce));
    format!("{observed} requests would have been refused\n")
}
