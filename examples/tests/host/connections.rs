//! Connections: the slow ones are ended, those in hand are finished, and the end comes in bounded time.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use clap::Parser;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt;
use tower_plugin_core::SystemClock;
use tower_plugin_examples::host::{HostState, Options, build};

use crate::support::{CHECK, DISCOVER, Host};

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

// On HTTP/2 curl took one refusal in thirty for a broken stream.
#[tokio::test(start_paused = true)]
async fn a_refusal_waits_a_little_for_the_body_it_did_not_need() {
    let host = Host::start().await;
    let ask = async |body: &str| {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        let begin = Instant::now();
        let request = format!(
            "POST {DISCOVER} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
        begin.elapsed().as_secs()
    };
    assert_eq!(ask("{}").await, 0);
    assert_eq!(ask("{").await, 2);
}

fn get_from(host: &Host, path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(host.url(path))
        .header("host", host.address.to_string())
        .body(Empty::new())
        .unwrap()
}

// Thousands of these used to shut everybody else out: whoever acknowledges PINGs is alive for ever.
#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_any_more_is_closed() {
    let host = Host::start().await;
    let stream = TokioIo::new(TcpStream::connect(host.address).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let answer = client.send_request(get_from(&host, "/healthz")).await;
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
        // Asking now and then keeps it.
        sleep(Duration::from_secs(60)).await;
    }
    let quiet = Instant::now();
    timeout(Duration::from_secs(600), connection)
        .await
        .expect("still open after ten minutes")
        .unwrap()
        .unwrap();
    assert!(
        quiet.elapsed() < Duration::from_secs(90),
        "{:?}",
        quiet.elapsed()
    );
    drop(client);
}

// Acknowledges that it is alive, and not that it should go.
#[tokio::test(start_paused = true)]
async fn a_connection_that_will_not_go_is_cut_off() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    // Preface, empty SETTINGS, and as stream 1 GET http://a/healthz.
    stream
        .write_all(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
            \0\0\x0f\x01\x05\0\0\0\x01\x82\x86\x04\x08/healthz\x01\x01a",
        )
        .await
        .unwrap();
    let (begin, mut seen) = (Instant::now(), Vec::new());
    let alive = async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let [_, high, low, kind, flags, ..] = head;
            let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            if stream.read_exact(&mut payload).await.is_err() {
                break;
            }
            seen.push(kind);
            let is_keep_alive = payload.starts_with(&[0x3b, 0x7c]);
            if kind == 6 && flags & 1 == 0 && is_keep_alive {
                let ack = [&[0, 0, 8, 6, 1, 0, 0, 0, 0], payload.as_slice()].concat();
                if stream.write_all(&ack).await.is_err() {
                    break;
                }
            }
        }
    };
    let ended = timeout(Duration::from_secs(600), alive).await;
    assert!(ended.is_ok(), "{seen:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(90),
        "{:?}",
        begin.elapsed()
    );
    // The answer, PINGs while it lasted, and GOAWAY.
    for kind in [1, 6, 7] {
        assert!(seen.contains(&kind), "{kind}: {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_request_in_hand_is_not_idle() {
    let patient = async || {
        sleep(Duration::from_secs(3600)).await;
        "finished"
    };
    let host = Host::with_routes(&[], Router::new().route("/patient", get(patient))).await;
    let connect = async || TokioIo::new(TcpStream::connect(host.address).await.unwrap());
    let (mut one, connection) = http1::handshake(connect().await).await.unwrap();
    tokio::spawn(connection);
    let (mut two, connection) = http2::handshake(TokioExecutor::new(), connect().await)
        .await
        .unwrap();
    tokio::spawn(connection);
    let (one, two) = tokio::join!(
        one.send_request(get_from(&host, "/patient")),
        two.send_request(get_from(&host, "/patient")),
    );
    for answer in [one, two] {
        let body = answer.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "finished");
    }
}

#[cfg(target_os = "linux")]
async fn healthz_from(source: &str, host: &Host) -> Option<(String, TcpStream)> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(host.address).await.unwrap();
    let asked = stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let mut answer = vec![0; 4096];
    // Closed in our face, before or after we have asked.
    let length = match (asked, stream.read(&mut answer).await) {
        (Ok(()), Ok(length)) if length > 0 => length,
        _ => return None,
    };
    Some((
        String::from_utf8_lossy(&answer[..length]).into_owned(),
        stream,
    ))
}

// Only Linux has more than one loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_cannot_take_the_connections_of_all() {
    let host = Host::with(&["--connections-per-client", "8"]).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let (answer, stream) = healthz_from("127.0.0.1", &host).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        held.push(stream);
    }
    for _ in 0..20 {
        assert!(healthz_from("127.0.0.1", &host).await.is_none());
    }
    let probe = healthz_from("127.0.0.2", &host).await;
    assert!(probe.is_some_and(|(answer, _)| answer.starts_with("HTTP/1.1 200 ")));

    // A place given up is a place again.
    held.pop();
    timeout(Duration::from_secs(20), async {
        while healthz_from("127.0.0.1", &host).await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    drop(held);
    host.stop().await;
}

// Under load there are always some whom the kernel has let in and the host has not seen yet.
#[tokio::test]
async fn who_was_let_in_before_the_end_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        streams.push(stream);
    }
    // Says nothing, and is not waited for long.
    let silent = TcpStream::connect(address).await.unwrap();
    let host = Host::on(listener, &["--drain", "15s"], Router::new());
    let begin = Instant::now();
    host.stop().await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
    drop(silent);
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
    // It does not live on without the host.
    let cut_off = timeout(Duration::from_secs(10), answer).await.unwrap();
    assert!(cut_off.unwrap().is_err());
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
        let request = http::Request::get(path)
            .header("host", "a")
            .body(Body::empty())
            .unwrap();
        let response = build(&state).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            text
        );
    }
}
