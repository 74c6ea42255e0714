//! Connections: the slow ones are ended, those in hand are finished, and the end comes in bounded time.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use clap::Parser;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tower::ServiceExt;
use tower_plugin_core::SystemClock;
use tower_plugin_examples::host::{HostState, Options, build};

use crate::support::{CHECK, Host};

// With paused time a timeout passes as soon as nothing else can happen.
#[tokio::test(start_paused = true)]
async fn a_caller_who_says_too_little_is_hung_up_on() {
    let host = Host::start().await;
    for said in [
        "",
        "PRI * HTTP/2.0",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n",
        "GET / HT",
    ] {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{said:?}");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "POST {CHECK} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        host.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(30), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"deadline_exceeded""#), "{answer}");
}

fn slow(begun: &Arc<Notify>, go_on: &Arc<Notify>) -> Router {
    let (begun, go_on) = (Arc::clone(begun), Arc::clone(go_on));
    let handler = async move || {
        begun.notify_one();
        go_on.notified().await;
        "finished"
    };
    Router::new().route("/slow", get(handler))
}

#[tokio::test]
async fn what_is_in_hand_is_finished_and_nothing_new_is_begun() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let host = Host::with_routes(&[], slow(&begun, &go_on)).await;
    let (address, client) = (host.address, host.client());
    let request = http::Request::get(host.url("/slow"))
        .body(Default::default())
        .unwrap();
    let answer = tokio::spawn(async move {
        crate::support::Answer::of(client.request(request).await.unwrap()).await
    });
    begun.notified().await;

    let stopped = tokio::spawn(host.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopped.is_finished());
    go_on.notify_one();
    let answer = answer.await.unwrap();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "finished")
    );
    stopped.await.unwrap();
}

#[tokio::test]
async fn what_never_ends_does_not_keep_the_host() {
    let (begun, never) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let host = Host::with_routes(&["--drain", "1s"], slow(&begun, &never)).await;
    let (client, request) = (
        host.client(),
        http::Request::get(host.url("/slow"))
            .body(Default::default())
            .unwrap(),
    );
    let answer = tokio::spawn(client.request(request));
    begun.notified().await;
    host.stop().await;
    answer.abort();
}

#[tokio::test]
async fn a_host_that_does_not_serve_is_not_ready() {
    let options = Options::try_parse_from(["plugin-host"]).unwrap();
    let (config, _) = options.into_config(None).unwrap();
    let state = Arc::new(HostState::new(config, Arc::new(SystemClock::new())).unwrap());
    for (path, status, text) in [
        ("/readyz", StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        ("/healthz", StatusCode::OK, "ok"),
    ] {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = build(&state).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            text
        );
    }
}
