//! Calls through the host that are streams: nothing waits for the end, and the end arrives.

use std::{convert::Infallible, sync::Arc, time::Duration};

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
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
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
    support::{Host, Plugin, REGISTER},
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
    let address = serve(logger().layer(known)).await;
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
                    .header("trailer", "x-checksum")
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
        chunks
            .send(Ok(Frame::trailers(trailers.clone())))
            .await
            .unwrap();
        drop(chunks);
        let frame = timeout(WAIT, answer.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_trailers().unwrap(), trailers);
        host.stop().await;
    }
}

#[tokio::test]
async fn f60_a_request_is_streamed_while_the_answer_already_comes() {
    let app = Router::new().fallback(async |request: AxumRequest| request.into_body());
    let address = serve(app).await;
    let host = Host::with(&[&LOOPBACK[..], &["--provider-timeout", "1s"]].concat()).await;
    let plugin = host.admit("echo").await;
    host.provide(&plugin, "logger", &format!("http://{address}"))
        .await;
    let (chunks, sent) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let request = http::Request::post(host.url(&format!("/services/logger/{}/Echo", plugin.id)))
        .header("authorization", format!("Bearer {}", plugin.token))
        .header("x-plugin-runtime-id", &plugin.id)
        .header("content-type", "application/grpc")
        .body(StreamBody::new(ReceiverStream::new(sent)))
        .unwrap();
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let answer = timeout(WAIT, client.request(request)).await.unwrap();
    let mut answer = answer.unwrap();
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
