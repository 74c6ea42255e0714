//! A grant handed on: one service narrows what it was granted without asking anybody, and another uses that.
//!
//! `cargo run --bin grant-attenuation` starts a host with files and two services, `backup` and `viewer`, on loopback,
//! and prints what happens between them.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, State},
    http::{Method, Request, StatusCode, Uri, header::AUTHORIZATION},
    routing::{any, get},
};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;
use tower::Layer;
use tower_plugin_auth::{
    Capability, CapabilityBroker, CapabilityLayer, Grant, GrantRequest, Principal, SystemRng,
    grant::{Caveat, GrantToken},
    store::MemoryGrantStore,
    token::KeyRing,
};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let calls = Arc::new(AtomicUsize::new(0));

    let host = TcpListener::bind("127.0.0.1:0").await?;
    let host_url = format!("http://{}", host.local_addr()?);
    let keys = KeyRing::random(&SystemRng)?;
    let broker = CapabilityBroker::builder(MemoryGrantStore::new(1_000)?, keys)
        .with_policy(|request: &GrantRequest, _: &Capability| {
            request.principal().subject() == "backup"
        })
        .build()?;
    let files = Capability::new("files", "1.0.0")?
        .with_permission("GET|PUT /**".parse()?)
        .with_endpoint(&host_url)?;
    broker.register(files)?;
    serve(host, host_app(broker.clone(), Arc::clone(&calls)));

    // In a host, this is the handler of an RPC behind an AuthLayer, which knows the principal. The grant is to be
    // handed on, so it is for whoever has it.
    let request = GrantRequest::new(Principal::new("service", "backup"), "files")
        .with_min_version("1.0.0")?
        .with_reason("nightly backup")
        .with_insecure_bearer();
    let issued = broker.request(request).await?;
    let endpoint = issued.endpoint().ok_or("the capability has one")?;
    println!("granted:   files {} to backup", issued.version());

    let backup = TcpListener::bind("127.0.0.1:0").await?;
    let backup_url = format!("http://{}", backup.local_addr()?);
    let (grant, text) = (issued.token().id(), issued.token().expose().to_owned());
    serve(backup, backup_app(issued.into_token()));
    let viewer = TcpListener::bind("127.0.0.1:0").await?;
    let viewer_url = format!("http://{}", viewer.local_addr()?);
    let shared = fetch(&client, Method::GET, &format!("{backup_url}/share"), None).await?;
    println!(
        "narrowed:  by backup, the host was asked {} times",
        calls.load(SeqCst)
    );
    let narrowed = GrantToken::parse(&shared.1)?;
    for restriction in narrowed.restrictions() {
        println!("           {restriction:?}");
    }
    let link = narrowed.link();
    serve(
        viewer,
        viewer_app(client.clone(), endpoint.clone(), narrowed),
    );

    let view = async |method: Method, path: &str| -> Result<(), Failure> {
        let url = format!("{viewer_url}{path}");
        let (status, text) = fetch(&client, method.clone(), &url, None).await?;
        println!("viewer:    {method} {path} {} {text}", status.as_u16());
        Ok(())
    };
    view(Method::GET, "/public/a").await?;
    view(Method::GET, "/secret").await?;
    view(Method::PUT, "/public/a").await?;
    view(Method::GET, "/public/%2e%2e/secret").await?;
    view(Method::GET, "/public/b").await?;

    broker.revoke_link(&grant, &link).await?;
    println!("revoked:   what backup had handed on");
    view(Method::GET, "/public/a").await?;
    let own = fetch(
        &client,
        Method::GET,
        &format!("{endpoint}/secret"),
        Some(&text),
    )
    .await?;
    println!("backup:    GET /secret {} {}", own.0.as_u16(), own.1);
    Ok(())
}

/// Files, for whoever has been granted them. The layer stands around a router of its own: a router's own layers run
/// when the route has been chosen, and this one changes the path.
fn host_app(broker: CapabilityBroker<MemoryGrantStore>, calls: Arc<AtomicUsize>) -> Router {
    let files = Router::new().route("/{*path}", any(file)).with_state(calls);
    Router::new().fallback_service(CapabilityLayer::new(broker).layer(files))
}

async fn file(calls: State<Arc<AtomicUsize>>, uri: Uri, grant: Extension<Grant>) -> String {
    calls.fetch_add(1, SeqCst);
    format!("{uri}, granted to {}", grant.principal().subject())
}

/// Hands on what is public, to be read.
fn backup_app(token: GrantToken) -> Router {
    let share = async |State(token): State<Arc<GrantToken>>| {
        let narrowed = narrow(&token).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok::<_, StatusCode>(narrowed.expose().to_owned())
    };
    Router::new()
        .route("/share", get(share))
        .with_state(Arc::new(token))
}

/// Nobody is asked: the text of the token is all it takes.
fn narrow(token: &GrantToken) -> Result<GrantToken, Failure> {
    let public = token.attenuate(&Caveat::path_prefix("/public")?)?;
    Ok(public.attenuate(&Caveat::methods(["GET"])?)?)
}

/// Shows what it can get at.
fn viewer_app(client: HttpClient, endpoint: String, token: GrantToken) -> Router {
    let state = Arc::new((client, endpoint, token));
    let show = async |State(state): State<Arc<(HttpClient, String, GrantToken)>>,
                      method: Method,
                      Path(path): Path<String>| {
        let (client, endpoint, token) = &*state;
        let url = format!("{endpoint}/{path}");
        let answer = fetch(client, method, &url, Some(token.expose())).await;
        answer.map_err(|_| StatusCode::BAD_GATEWAY)
    };
    Router::new().route("/{*path}", any(show)).with_state(state)
}

fn serve(listener: TcpListener, app: Router) {
    tokio::spawn(async move { axum::serve(listener, app).await });
}

type Failure = Box<dyn Error + Send + Sync>;

type HttpClient = Client<HttpConnector, Body>;

/// Status, and the text if it is a success.
async fn fetch(
    client: &HttpClient,
    method: Method,
    url: &str,
    token: Option<&str>,
) -> Result<(StatusCode, String), Failure> {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, GrantToken::parse(token)?.header_value());
    }
    let response = client.request(request.body(Body::empty())?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    match status.is_success() {
        true => Ok((status, String::from_utf8(body.to_vec())?)),
        false => Ok((status, String::new())),
    }
}
