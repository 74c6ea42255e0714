//! Calls through the host that are streams: nothing waits for the end, and the end arrives.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body, extract::Request as AxumRequest, response::Response};
use bytes::Bytes;
use connectrpc::{
    ErrorCode, Protocol,
    client::{CallOptions, ClientConfig, HttpClient},
};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Code, Request,
    metadata::MetadataValue,
    transport::{Endpoint, Server},
};
use tonic_health::{
    ServingStatus as Serving,
    pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient},
    server::HealthReporter,
};
use tower_plugin_core::Principal;
use tower_plugin_examples::{
    host::logger,
    proto::capability::logger::v1::{LogRequest, LoggerClient},
};

use crate::{
    services::serve,
    support::{Host, Plugin, REGISTER, eventually},
};

const WAIT: Duration = Duration::from_secs(10);
const LOOPBACK: [&str; 2] = ["--provider-network", "127.0.0.0/8"];

/// A plugin that is a tonic server with the standard health service.
async fn tonic_provider(host: &Host) -> (Plugin, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let plugin = host.admit("health").await;
    let offer = serde_json::json!({
        "serviceType": "health",
        "version": "1.0.0",
        "endpointPath": "/",
        "metadata": { "base_url": format!("http://{address}") },
    });
    let answer = host.call(REGISTER, Some(&plugin), offer).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (plugin, reporter)
}

fn request(caller: &Plugin, service: &str) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    let bearer = format!("Bearer {}", caller.token).parse().unwrap();
    let metadata = request.metadata_mut();
    metadata.insert("authorization", bearer);
    metadata.insert("x-plugin-runtime-id", caller.id.parse().unwrap());
    metadata.insert_bin("trace-bin", MetadataValue::from_bytes(b"\x00\x01"));
    request
}

// Trailers were dropped, and `grpc-status` with them.
#[tokio::test]
async fn f60_grpc_works_through_the_host_unary_and_streamed() {
    let host = Host::with(&LOOPBACK).await;
    let (provider, reporter) = tonic_provider(&host).await;
    let caller = host.admit("app").await;
    let channel = Endpoint::from_shared(host.url("")).unwrap();
    let channel = channel.connect().await.unwrap();
    let origin = host.url(&format!("/services/health/{}", provider.id));
    let mut client = HealthClient::with_origin(channel, origin.parse().unwrap());

    let answer = client.check(request(&caller, "")).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    // The provider's own words, whatever they are.
    let refused = client.check(request(&caller, "nobody")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(refused.message(), "service not registered");

    let stream = client.watch(request(&caller, "")).await.unwrap();
    let mut stream = stream.into_inner();
    let mut next = async || {
        let status = timeout(WAIT, stream.message()).await.expect("no status");
        status.unwrap().unwrap().status()
    };
    assert_eq!(next().await, ServingStatus::Serving);
    reporter.set_service_status("", Serving::NotServing).await;
    assert_eq!(next().await, ServingStatus::NotServing);
    drop(stream);

    // The host's words, in the same protocol.
    let mut stranger = request(&caller, "");
    stranger.metadata_mut().remove("authorization");
    let refused = client.check(stranger).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    host.report(&provider, "UNHEALTHY").await;
    let refused = client.check(request(&caller, "")).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::Unavailable,
            "service unavailable (provider unhealthy)"
        )
    );
    host.stop().await;
}

// As the plugins of connect-plugin-go call each other.
#[tokio::test]
async fn a_connect_client_calls_a_connect_server_through_the_host() {
    let known = Extension(Principal::new("runtime", "whoever-calls-it"));
    let address = serve(logger().unwrap().layer(known)).await;
    let host = Host::with(&LOOPBACK).await;
    let (provider, caller) = (host.admit("logger").await, host.admit("app").await);
    let offer = serde_json::json!({
        "serviceType": "logger",
        "version": "1.0.0",
        "endpointPath": "/",
        "metadata": { "base_url": format!("http://{address}") },
    });
    let answer = host.call(REGISTER, Some(&provider), offer).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let base: http::Uri = host
        .url(&format!("/services/logger/{}", provider.id))
        .parse()
        .unwrap();
    for protocol in [Protocol::Connect, Protocol::Grpc, Protocol::GrpcWeb] {
        let transport = match protocol {
            Protocol::Grpc => HttpClient::plaintext_http2_only(),
            _ => HttpClient::plaintext(),
        };
        let config = ClientConfig::new(base.clone()).with_protocol(protocol);
        let client = LoggerClient::new(transport, config);
        let line = |level: &str| LogRequest {
            level: level.to_owned(),
            message: "hello".to_owned(),
            ..Default::default()
        };
        let identity = CallOptions::default()
            .with_header("authorization", format!("Bearer {}", caller.token))
            .with_header("x-plugin-runtime-id", caller.id.clone());
        let call = client.log_with_options(line("info"), identity.clone());
        timeout(WAIT, call).await.unwrap().unwrap();
        let refused = client.log_with_options(line("trace"), identity).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidArgument);
        let refused = client.log(line("info")).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unauthenticated, "{protocol:?}");
    }
    host.stop().await;
}

// The first chunk used to arrive with the last.
#[tokio::test]
async fn f60_a_chunk_arrives_before_the_next_is_sent_and_trailers_at_the_end() {
    for is_http2 in [false, true] {
        let (chunks, sent) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
        let sent = Arc::new(Mutex::new(Some(sent)));
        let app = Router::new().fallback(move |_: AxumRequest| {
            let body = StreamBody::new(ReceiverStream::new(sent.lock().take().unwrap()));
            async move {
                Response::builder()
                    .header("trailer", "x-checksum, set-cookie, x-plugin-runtime-id")
                    .body(Body::new(body))
                    .unwrap()
            }
        });
        let address = serve(app).await;
        let host = Host::with(&LOOPBACK).await;
        let plugin = host.admit("streams").await;
        host.provide(&plugin, "logger", &format!("http://{address}"))
            .await;
        let uri = host.url(&format!("/services/logger/{}/Tail", plugin.id));
        let request = http::Request::post(uri)
            .header("authorization", format!("Bearer {}", plugin.token))
            .header("x-plugin-runtime-id", &plugin.id)
            .header("te", "trailers");
        let request = match is_http2 {
            true => request.header("content-type", "application/grpc"),
            false => request,
        };
        let client = Client::builder(TokioExecutor::new())
            .http2_only(is_http2)
            .build_http::<Full<Bytes>>();
        let answer = client.request(request.body(Full::default()).unwrap());
        let mut answer = timeout(WAIT, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        for chunk in ["one", "two", "three"] {
            chunks
                .send(Ok(Frame::data(Bytes::from(chunk))))
                .await
                .unwrap();
            let frame = timeout(WAIT, answer.frame()).await.expect("held back");
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), chunk);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("7"));
        let mut said = trailers.clone();
        // Taken off, as it is off a head.
        said.insert("set-cookie", HeaderValue::from_static("a=b"));
        said.insert("x-plugin-runtime-id", HeaderValue::from_static("p"));
        chunks.send(Ok(Frame::trailers(said))).await.unwrap();
        drop(chunks);
        let frame = timeout(WAIT, answer.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_trailers().unwrap(), trailers);
        host.stop().await;
    }
}

#[tokio::test]
async fn f60_a_request_is_streamed_while_the_answer_already_comes() {
    let app = Router::new().fallback(async |request: AxumRequest| request.into_body());
    let host = Host::with(&[&LOOPBACK[..], &["--provider-timeout", "1s"]].concat()).await;
    let plugin = provide(&host, app).await;
    let (chunks, answer) = open(&host, &plugin, &plugin).await;
    let mut answer = answer.await;
    for chunk in ["ping", "pong"] {
        chunks
            .send(Ok(Frame::data(Bytes::from(chunk))))
            .await
            .unwrap();
        let frame = timeout(WAIT, answer.frame()).await.expect("held back");
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), chunk);
    }
    drop(chunks);
    let rest = timeout(WAIT, answer.collect()).await.unwrap().unwrap();
    assert!(rest.to_bytes().is_empty());
    host.stop().await;
}

/// A call over HTTP/2 that is sent as it comes.
async fn open(
    host: &Host,
    caller: &Plugin,
    provider: &Plugin,
) -> (
    mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
    impl Future<Output = http::Response<hyper::body::Incoming>> + use<>,
) {
    let (chunks, sent) = mpsc::channel(1);
    let request = http::Request::post(host.url(&format!("/services/logger/{}/Call", provider.id)))
        .header("authorization", format!("Bearer {}", caller.token))
        .header("x-plugin-runtime-id", &caller.id)
        .header("content-type", "application/grpc")
        .body(StreamBody::new(ReceiverStream::new(sent)))
        .unwrap();
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let answer = async move {
        timeout(WAIT, client.request(request))
            .await
            .unwrap()
            .unwrap()
    };
    (chunks, answer)
}

async fn provide(host: &Host, app: Router) -> Plugin {
    let address = serve(app).await;
    let plugin = host.admit("logger").await;
    host.provide(&plugin, "logger", &format!("http://{address}"))
        .await;
    plugin
}

#[tokio::test]
async fn trailers_of_a_request_carry_no_identity_and_no_claims() {
    let names = async |request: AxumRequest| {
        let body = request.into_body().collect().await.unwrap();
        let names = body.trailers().unwrap().keys().map(|name| name.as_str());
        names.collect::<Vec<_>>().join(" ")
    };
    let host = Host::with(&LOOPBACK).await;
    let provider = provide(&host, Router::new().fallback(names)).await;
    let (chunks, answer) = open(&host, &provider, &provider).await;
    let mut trailers = HeaderMap::new();
    for name in [
        "authorization",
        "cookie",
        "forwarded",
        "x-checksum",
        "x-forwarded-for",
        "x-plugin-runtime-id",
    ] {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    chunks.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(chunks);
    let answer = answer.await.into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "x-checksum");
    host.stop().await;
}

// It went on for as long as it liked.
#[tokio::test]
async fn f07_a_call_ends_with_its_callers_token() {
    let echo = Router::new().fallback(async |request: AxumRequest| request.into_body());
    let host = Host::with(&[&LOOPBACK[..], &["--token-ttl", "10m"]].concat()).await;
    let provider = provide(&host, echo).await;
    host.clock.advance(Duration::from_secs(300));
    let (revoked, expires, other) = (
        host.admit("revoked").await,
        host.admit("expires").await,
        host.admit("other").await,
    );
    let mut calls = Vec::new();
    for caller in [&revoked, &expires, &other] {
        let (chunks, answer) = open(&host, caller, &provider).await;
        let mut body = answer.await.into_body();
        pass(&chunks, &mut body).await;
        calls.push((chunks, body));
    }
    let tokens = host.state.tokens();
    tokens.revoke_subject("runtime", &revoked.id).await.unwrap();
    let broken = timeout(WAIT, calls[0].1.frame()).await.expect("goes on");
    assert!(broken.unwrap().is_err());
    for (chunks, body) in &mut calls[1..] {
        pass(chunks, body).await;
    }
    // The time of the host's own tokens.
    host.clock.advance(Duration::from_secs(600));
    for (_, body) in &mut calls[1..] {
        let broken = timeout(WAIT, body.frame()).await.expect("goes on");
        assert!(broken.unwrap().is_err());
    }
    host.stop().await;
}

async fn pass(
    chunks: &mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
    body: &mut hyper::body::Incoming,
) {
    let ping = Frame::data(Bytes::from("ping"));
    chunks.send(Ok(ping)).await.unwrap();
    let frame = timeout(WAIT, body.frame()).await.expect("held back");
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "ping");
}

#[tokio::test]
async fn f07_a_call_without_an_answer_yet_is_refused_when_its_token_ends() {
    let silent = Router::new().fallback(async || {
        std::future::pending::<()>().await;
    });
    let host = Host::with(&LOOPBACK).await;
    let provider = provide(&host, silent).await;
    let caller = host.admit("app").await;
    let (chunks, answer) = open(&host, &caller, &provider).await;
    let answer = tokio::spawn(answer);
    // Taken once the call is under way.
    for _ in 0..2 {
        let ping = Frame::data(Bytes::from("ping"));
        chunks.send(Ok(ping)).await.unwrap();
    }
    let tokens = host.state.tokens();
    tokens.revoke_subject("runtime", &caller.id).await.unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "16");
    host.stop().await;
}

// Then the answer is not asked whether it may go on.
#[tokio::test]
async fn f07_a_request_ends_with_its_token_while_its_answer_is_left_unread() {
    let made = Arc::new(AtomicUsize::new(0));
    let (ended, end) = oneshot::channel();
    let ended = Arc::new(Mutex::new(Some(ended)));
    let counted = Arc::clone(&made);
    let app = Router::new().fallback(move |request: AxumRequest| {
        let (ended, counted) = (ended.lock().take().unwrap(), Arc::clone(&counted));
        tokio::spawn(async move {
            let outcome = request.into_body().collect().await.map(drop);
            ended.send(outcome.is_err()).unwrap();
        });
        let endless = futures_util::stream::repeat_with(move || {
            counted.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(&[0; 16 * 1024]))
        });
        async { Body::from_stream(endless) }
    });
    let host = Host::with(&LOOPBACK).await;
    let provider = provide(&host, app).await;
    let caller = host.admit("app").await;
    let (chunks, answer) = open(&host, &caller, &provider).await;
    let answer = answer.await;
    let (last, quiet) = (AtomicUsize::new(0), AtomicUsize::new(0));
    eventually("all buffers full", async || {
        let now = made.load(Relaxed);
        let is_quiet = now > 0 && last.swap(now, Relaxed) == now;
        let rounds = if is_quiet { quiet.load(Relaxed) + 1 } else { 0 };
        quiet.store(rounds, Relaxed);
        rounds > 10
    })
    .await;
    let tokens = host.state.tokens();
    tokens.revoke_subject("runtime", &caller.id).await.unwrap();
    let is_broken_off = timeout(WAIT, end).await.expect("goes on").unwrap();
    assert!(is_broken_off);
    drop((chunks, answer));
    host.stop().await;
}
