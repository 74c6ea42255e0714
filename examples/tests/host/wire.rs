//! The protocol itself: codecs, compression, what is refused and how, and that the host survives it.

use std::io::Write;

use axum::{Router, routing::post};
use buffa::Message;
use bytes::Bytes;
use connectrpc::client::{ClientConfig, HttpClient};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tower_plugin_examples::{
    host::MAX_BODY,
    proto::connectplugin::{
        health::v1::{HealthCheckRequest, HealthCheckResponse, HealthServiceClient, ServingStatus},
        v1::{HandshakeRequest, HandshakeResponse, HandshakeServiceClient},
    },
};

use crate::support::{
    CHECK, DISCOVER, HANDSHAKE, HEALTH_WATCH, Host, REGISTER, SECRET, WATCH, handshake,
};

fn request() -> HandshakeRequest {
    HandshakeRequest {
        core_protocol_version: 1,
        app_protocol_version: 1,
        magic_cookie_key: "CONNECT_PLUGIN".to_owned(),
        magic_cookie_value: SECRET.to_owned(),
        self_id: "p".to_owned(),
        ..Default::default()
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

const PROTO: (&str, &str) = ("content-type", "application/proto");
const JSON: (&str, &str) = ("content-type", "application/json");

// What connect-go sends: the bare message, its version header, and an offer to take gzip.
#[tokio::test]
async fn protobuf_is_answered_in_protobuf() {
    let host = Host::start().await;
    let headers = [
        PROTO,
        ("connect-protocol-version", "1"),
        ("user-agent", "connect-go/1.18.1 (go1.24)"),
        ("connect-timeout-ms", "5000"),
    ];
    let answer = host
        .post(HANDSHAKE, &headers, request().encode_to_vec())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/proto")
    );
    let message = HandshakeResponse::decode_from_slice(&answer.body).unwrap();
    assert!(message.runtime_id.starts_with("p-") && message.runtime_token.starts_with("tpr_"));
    host.stop().await;
}

#[tokio::test]
async fn an_empty_message_is_no_bytes_in_protobuf_and_braces_in_json() {
    let host = Host::start().await;
    let serving = HealthCheckResponse {
        status: ServingStatus::Serving.into(),
        ..Default::default()
    };
    let answer = host.post(CHECK, &[PROTO], "").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.body),
        (200, &*serving.encode_to_vec())
    );
    let answer = host
        .post(
            CHECK,
            &[("content-type", "application/json; charset=utf-8")],
            "{}",
        )
        .await;
    assert_eq!(answer.json(), json!({ "status": "SERVING_STATUS_SERVING" }));
    host.post(CHECK, &[JSON], "")
        .await
        .refused(400, "invalid_argument");
    host.stop().await;
}

#[tokio::test]
async fn json_takes_both_spellings_and_ignores_the_unknown() {
    let host = Host::start().await;
    let body = format!(
        r#"{{"core_protocol_version":1,"appProtocolVersion":1,"magic_cookie_key":"CONNECT_PLUGIN","magicCookieValue":"{SECRET}","self_id":"p","fromTheFuture":{{"a":[1]}}}}"#
    );
    let answer = host.post(HANDSHAKE, &[JSON], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    host.stop().await;
}

#[tokio::test]
async fn gzip_works_both_ways() {
    let host = Host::start().await;
    let headers = [
        PROTO,
        ("content-encoding", "gzip"),
        ("accept-encoding", "gzip"),
    ];
    let mut message = request();
    message.client_metadata = (0..50).map(|n| (format!("k{n}"), "v".repeat(40))).collect();
    let answer = host
        .post(HANDSHAKE, &headers, gzip(&message.encode_to_vec()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let plain = match answer.header("content-encoding") {
        "" => answer.body.to_vec(),
        encoding => {
            assert_eq!(encoding, "gzip");
            let mut plain = Vec::new();
            std::io::copy(&mut GzDecoder::new(&*answer.body), &mut plain).unwrap();
            plain
        }
    };
    assert!(
        HandshakeResponse::decode_from_slice(&plain)
            .unwrap()
            .runtime_id
            .starts_with("p-")
    );

    // connect-go compresses even nothing.
    assert_eq!(host.post(CHECK, &headers, gzip(b"")).await.status, 200);
    host.stop().await;
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_takes_gzip_and_for_nobody_else() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    let metadata: serde_json::Map<_, _> = (0..50)
        .map(|n| (format!("k{n}"), "v".repeat(100).into()))
        .collect();
    let service = json!({
        "serviceType": "kv", "version": "1.0.0", "endpointPath": "/kv/", "metadata": metadata,
    });
    let registered = host.call(REGISTER, Some(&plugin), service).await;
    assert_eq!(registered.status, 200, "{}", registered.text());

    let bearer = format!("Bearer {}", plugin.token);
    for (content_type, message) in [
        ("application/json", &br#"{"serviceType":"kv"}"#[..]),
        ("application/proto", b"\x0a\x02kv"),
    ] {
        let ask = async |encoding: &str| {
            let mut headers = vec![
                ("content-type", content_type),
                ("connect-protocol-version", "1"),
                ("authorization", bearer.as_str()),
            ];
            if !encoding.is_empty() {
                headers.push(("accept-encoding", encoding));
            }
            let answer = host.post(DISCOVER, &headers, message).await;
            assert_eq!(answer.status, 200, "{encoding}: {}", answer.text());
            answer
        };
        let plain = ask("").await;
        assert_eq!(plain.header("content-encoding"), "");
        for encoding in ["gzip", "br, gzip", "gzip;q=0.5"] {
            let answer = ask(encoding).await;
            assert_eq!(answer.header("content-encoding"), "gzip", "{encoding}");
            assert!(answer.body.len() < plain.body.len() / 4);
            let mut unpacked = Vec::new();
            std::io::copy(&mut GzDecoder::new(&*answer.body), &mut unpacked).unwrap();
            // The order of a map's entries is nobody's.
            assert_eq!(unpacked.len(), plain.body.len(), "{encoding}");
        }
        for encoding in ["identity", "br", "gzip;q=0", "gzipped"] {
            assert_eq!(
                ask(encoding).await.header("content-encoding"),
                "",
                "{encoding}"
            );
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn malformed_input_is_refused_without_being_repeated() {
    let host = Host::start().await;
    for (headers, body) in [
        (
            vec![PROTO],
            Bytes::from_static(b"\x0a\xff\xff\xff\xff\x0fs3cr3t"),
        ),
        (vec![PROTO], Bytes::from_static(b"\x1a\x05s3cr")),
        (vec![PROTO], Bytes::from_static(b"\x1a\x04\xff\xfe\xfd\xfc")),
        (
            vec![JSON],
            Bytes::from_static(b"{\"magicCookieValue\": \"s3cr3t\""),
        ),
        (
            vec![JSON],
            Bytes::from_static(b"{\"coreProtocolVersion\": \"s3cr3t\"}"),
        ),
        (vec![JSON], Bytes::from_static(b"\"s3cr3t\"")),
        (
            vec![JSON],
            Bytes::from_static(b"{\"magicCookieValue\": \"\xff\"}"),
        ),
        (
            vec![JSON, ("content-encoding", "gzip")],
            Bytes::from_static(b"s3cr3t"),
        ),
        (
            vec![JSON, ("connect-timeout-ms", "soon")],
            Bytes::from_static(b"{}"),
        ),
        (
            vec![JSON, ("connect-timeout-ms", "12345678901")],
            Bytes::from_static(b"{}"),
        ),
        (
            vec![JSON],
            Bytes::from(format!("{{\"fromTheFuture\":{}", "[".repeat(200_000))),
        ),
    ] {
        let answer = host.post(HANDSHAKE, &headers, body).await;
        let message = answer.refused(400, "invalid_argument");
        assert!(!message.contains("s3cr3t"), "{message}");
    }
    host.admit("alive").await;
    host.stop().await;
}

#[tokio::test]
async fn no_header_is_repeated_in_a_refusal() {
    const SENT: &str = "s3cr3t<script>";
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    let bearer = format!("Bearer {}", plugin.token);
    for protocol in [
        "application/connect+json",
        "application/connect+proto",
        "application/grpc",
        "application/grpc-web+proto",
        "application/json",
        "application/proto",
        "text/plain",
        "",
    ] {
        for name in [
            "accept-encoding",
            "connect-accept-encoding",
            "connect-content-encoding",
            "connect-protocol-version",
            "connect-timeout-ms",
            "content-encoding",
            "grpc-accept-encoding",
            "grpc-encoding",
            "grpc-timeout",
            "te",
            "x-user-agent",
        ] {
            for path in [CHECK, HANDSHAKE, WATCH] {
                let mut headers = vec![("authorization", bearer.as_str()), (name, SENT)];
                if !protocol.is_empty() {
                    headers.push(("content-type", protocol));
                }
                let answer = host.post(path, &headers, "\0\0\0\0\x02{}").await;
                let said = format!("{:?} {}", answer.headers, answer.text());
                assert!(!said.contains("s3cr3t"), "{path} {protocol} {name}: {said}");
            }
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn only_gzip_and_identity_are_taken_and_the_others_are_told_so() {
    let host = Host::start().await;
    for (name, offer) in [
        ("content-encoding", "accept-encoding"),
        ("connect-content-encoding", "connect-accept-encoding"),
        ("grpc-encoding", "grpc-accept-encoding"),
    ] {
        for encoding in ["br", "", "gzip, gzip", "GZIP", "zstd"] {
            let answer = host.post(CHECK, &[JSON, (name, encoding)], "{}").await;
            let message = answer.refused(501, "unimplemented");
            assert_eq!(message, "only the encodings gzip and identity are taken");
            assert_eq!(answer.header(offer), "gzip", "{:?}", answer.headers);
        }
        host.post(CHECK, &[JSON, (name, "gzip"), (name, "gzip")], "{}")
            .await
            .refused(501, "unimplemented");
        let identity = host.post(CHECK, &[JSON, (name, "identity")], "{}").await;
        assert_eq!(identity.status, 200, "{name}: {}", identity.text());
    }
    let answer = host
        .post(
            CHECK,
            &[
                ("content-type", "application/grpc"),
                ("grpc-encoding", "br"),
            ],
            &b"\0\0\0\0\0"[..],
        )
        .await;
    assert_eq!(
        (
            answer.header("grpc-status"),
            answer.header("grpc-accept-encoding")
        ),
        ("12", "gzip")
    );
    host.stop().await;
}

#[tokio::test]
async fn an_oversized_body_is_413_and_no_rate_limit() {
    let host = Host::start().await;
    let bomb = gzip(&vec![b' '; 64 * MAX_BODY]);
    assert!(bomb.len() < MAX_BODY);
    for (headers, body) in [
        (vec![JSON], vec![b' '; MAX_BODY + 1]),
        (vec![PROTO], vec![0; 8 * MAX_BODY]),
        (vec![JSON, ("content-encoding", "gzip")], bomb),
    ] {
        host.post(HANDSHAKE, &headers, body)
            .await
            .refused(413, "resource_exhausted");
    }
    let mut padded = handshake(json!({ "selfId": "p" })).to_string();
    padded.push_str(&" ".repeat(MAX_BODY - padded.len()));
    assert_eq!(host.post(HANDSHAKE, &[JSON], padded).await.status, 200);
    host.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_said_so() {
    let host = Host::start().await;
    for path in [
        "/",
        "/connectplugin.v1.ServiceRegistry/NoSuchMethod",
        "/connectplugin.v1.PluginControl/Shutdown",
        "/services/",
    ] {
        host.post(path, &[PROTO, ("connect-protocol-version", "1")], "")
            .await
            .refused(404, "unimplemented");
        let answer = host.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "application/problem+json")
        );
    }

    let answer = host.get(CHECK).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, "POST")
    );
    let answer = host
        .post(CHECK, &[("content-type", "text/plain")], "")
        .await;
    assert_eq!(answer.status, 415);
    assert!(
        answer.header("accept-post").contains("application/proto"),
        "{:?}",
        answer.headers
    );
    host.stop().await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused_inside_the_stream() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    let headers = [
        ("content-type", "application/connect+proto"),
        ("authorization", &format!("Bearer {}", plugin.token)),
        ("x-plugin-runtime-id", &plugin.id),
    ];
    for path in [WATCH, HEALTH_WATCH] {
        let answer = host
            .post(path, &headers, &b"\0\0\0\0\x03\x0a\x01/"[..])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "application/connect+proto")
        );
        assert_eq!(answer.body[0], 2, "end of stream");
        let end: serde_json::Value = serde_json::from_slice(&answer.body[5..]).unwrap();
        assert_eq!(end["error"]["code"], "invalid_argument");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_runtimes_own_client_is_served_over_connect_and_grpc() {
    let host = Host::start().await;
    let uri: http::Uri = host.url("").parse().unwrap();
    let client =
        HandshakeServiceClient::new(HttpClient::plaintext(), ClientConfig::new(uri.clone()));
    let answer = client.handshake(request()).await.unwrap().into_owned();
    assert!(answer.runtime_id.starts_with("p-"));
    let error = client
        .handshake(HandshakeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(error.code, connectrpc::ErrorCode::InvalidArgument);

    let config = ClientConfig::new(uri).with_protocol(connectrpc::Protocol::Grpc);
    let client = HealthServiceClient::new(HttpClient::plaintext_http2_only(), config);
    let answer = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_owned();
    assert_eq!(answer.status.as_known(), Some(ServingStatus::Serving));
    let error = client
        .check(HealthCheckRequest {
            service: "nobody".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap_err();
    assert_eq!(error.code, connectrpc::ErrorCode::NotFound);
    host.stop().await;
}

async fn panics() -> &'static str {
    panic!("s3cr3t")
}

#[tokio::test]
async fn a_panic_is_the_callers_internal_error_and_the_host_goes_on() {
    let panics = Router::new().route("/panic", post(panics));
    let host = Host::with_routes(&[], panics).await;
    let message = host
        .post("/panic", &[PROTO, ("connect-protocol-version", "1")], "")
        .await
        .refused(500, "internal");
    assert_eq!(message, "internal error");
    let answer = host.post("/panic", &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (500, "application/problem+json")
    );
    let answer = host
        .post("/panic", &[("content-type", "application/grpc")], "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("grpc-status")),
        (200, "13")
    );
    host.admit("alive").await;
    host.stop().await;
}

#[tokio::test]
async fn the_probes_answer_without_an_identity() {
    let host = Host::start().await;
    assert_eq!(host.get("/healthz").await.text(), "ok");
    assert_eq!(host.get("/readyz").await.text(), "ready");
    let request = Request::builder()
        .method(Method::POST)
        .uri(host.url("/healthz"))
        .body(Full::default())
        .unwrap();
    assert_eq!(host.send(request).await.status, 405);
    host.stop().await;
}
