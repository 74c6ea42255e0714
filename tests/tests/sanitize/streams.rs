//! Calls whose outcome comes at their end: gRPC's trailers, gRPC-Web's frame of them, Connect's last message.

use axum::body::Body;
use http::Response;
use serde_json::Value;
use tower_plugin_validate::SanitizeErrorsLayer;

use crate::support::{Answer, SECRET, ask, body, envelope, response};

const ID: (&str, &str) = ("x-request-id", "7b0a9a3e");
const MESSAGE: &str = "internal error, reference 7b0a9a3e";

async fn call(content_type: &str, response: Response<Body>) -> Answer {
    let request = [ID, ("content-type", content_type)];
    ask(SanitizeErrorsLayer::new(), &request, response).await
}

const GRPC: &str = "application/grpc";

#[tokio::test]
async fn grpcs_internal_errors_are_replaced_in_the_head_and_in_the_trailers() {
    struct Case {
        status: &'static str,
        told_as: &'static str,
        is_kept: bool,
    }
    let case = |status, told_as, is_kept| Case {
        status,
        told_as,
        is_kept,
    };
    let cases = [
        case("0", "0", false),
        case("2", "2", true),
        case("3", "3", false),
        case("8", "8", false),
        case("13", "13", true),
        case("14", "14", false),
        case("15", "15", true),
        // None that there is: clients take it for UNKNOWN.
        case("17", "2", true),
        case("banana", "2", true),
    ];
    for case in cases {
        let outcome = [
            ("grpc-status", case.status),
            ("grpc-message", SECRET),
            ("grpc-status-details-bin", "czNjcjN0"),
            ("x-kept", "a"),
            ("server", "app/1"),
        ];
        let head = [&[("content-type", GRPC)], &outcome[..]].concat();
        let in_head = call(GRPC, response(200, &head, "")).await;
        let message = envelope(0, b"data");
        let streamed = response(200, &[("content-type", GRPC)], body(&[&message], &outcome));
        let in_trailers = call(GRPC, streamed).await;
        assert_eq!(in_trailers.body, message, "messages pass");

        for (answer, outcome) in [
            (&in_head, &in_head.headers),
            (&in_trailers, &in_trailers.trailers),
        ] {
            assert_eq!(outcome["grpc-status"], case.told_as);
            assert_eq!(outcome["x-kept"], "a");
            assert!(!outcome.contains_key("server"));
            assert_eq!(
                answer.log.matches(" ERROR ").count(),
                usize::from(case.is_kept)
            );
            if case.is_kept {
                assert_eq!(outcome["grpc-message"], MESSAGE);
                assert!(!answer.everything().contains("s3cr3t"), "{}", case.status);
                assert!(!answer.everything().contains("czNjcjN0"), "{}", case.status);
                assert!(answer.log.contains(SECRET));
            } else {
                assert_eq!(outcome["grpc-message"], SECRET);
                assert_eq!(outcome["grpc-status-details-bin"], "czNjcjN0");
            }
        }
    }
}

#[tokio::test]
async fn grpc_webs_frame_of_trailers_is_replaced() {
    let content_type = "application/grpc-web+proto";
    let head = [("content-type", content_type), ("content-length", "77")];
    let trailers = |status: &str| {
        let text = format!("grpc-status: {status}\r\ngrpc-message:{SECRET}\r\nx-kept: a\r\n");
        envelope(0x80, text.as_bytes())
    };
    let data = envelope(0, b"data");

    let whole = [data.clone(), trailers("3")].concat();
    let answer = call(content_type, response(200, &head, whole.clone())).await;
    assert_eq!(answer.body, whole, "public");

    let whole = [data.clone(), trailers("13")].concat();
    for cut in 0..whole.len() {
        let (front, back) = whole.split_at(cut);
        let answer = call(
            content_type,
            response(200, &head, body(&[front, back], &[])),
        )
        .await;
        assert!(answer.body.starts_with(&data), "cut at {cut}");
        assert!(!answer.headers.contains_key("content-length"));
        assert!(!answer.text().contains("s3cr3t"), "cut at {cut}");
        let frame = &answer.body[data.len()..];
        assert_eq!(frame[0], 0x80);
        assert_eq!(
            u32::from_be_bytes(frame[1..5].try_into().unwrap()) as usize,
            frame.len() - 5
        );
        for line in [
            "grpc-status: 13\r\n",
            "grpc-message: internal error, reference 7b0a9a3e\r\n",
            "x-kept: a\r\n",
        ] {
            assert!(answer.text().contains(line), "{line}");
        }
    }
    // What cannot be read, or does not say how it ended, is not passed on.
    for strange in [
        envelope(0x81, SECRET.as_bytes()),
        envelope(0x80, SECRET.as_bytes()),
        envelope(0x80, b"x: s3cr3t"),
        envelope(
            0x80,
            b"grpc-status: 0\r\ngrpc-status: 13\r\ngrpc-message: s3cr3t",
        ),
    ] {
        let answer = call(content_type, response(200, &head, strange)).await;
        assert!(answer.text().contains("grpc-status: 2\r\n"));
        assert_eq!(answer.text().matches("grpc-status:").count(), 1);
    }
}

const CONNECT: &str = "application/connect+json";

#[tokio::test]
async fn connects_last_message_is_replaced_and_keeps_its_metadata() {
    let head = [("content-type", CONNECT), ("content-length", "77")];
    let data = envelope(0, br#"{"error":{"code":"internal"}}"#);
    let error = |code: &str| {
        format!(
            r#"{{"error":{{"code":"{code}","message":"{SECRET}","details":[]}},"metadata":{{"x-kept":["a"]}}}}"#
        )
    };
    for public in [
        "{}".to_owned(),
        r#"{"metadata":{"a":["b"]}}"#.to_owned(),
        r#"{"error":null}"#.to_owned(),
        error("not_found"),
    ] {
        let whole = [data.clone(), envelope(2, public.as_bytes())].concat();
        let answer = call(CONNECT, response(200, &head, whole.clone())).await;
        assert_eq!(answer.body, whole, "{public}");
        assert_eq!(answer.log, "");
    }
    for code in ["internal", "unknown", "data_loss"] {
        let whole = [
            data.clone(),
            data.clone(),
            envelope(2, error(code).as_bytes()),
        ]
        .concat();
        for cut in [0, 3, 7, data.len(), 2 * data.len() + 2, whole.len() - 1] {
            let (front, back) = whole.split_at(cut);
            let answer = call(CONNECT, response(200, &head, body(&[front, back], &[]))).await;
            let start = 2 * data.len();
            assert_eq!(answer.body[..start], whole[..start], "cut at {cut}");
            let told = last_message(&answer.body[start..]);
            assert_eq!(told["error"]["code"], code);
            assert_eq!(told["error"]["message"], MESSAGE);
            assert_eq!(told["metadata"]["x-kept"][0], "a");
            assert!(!answer.everything().contains("s3cr3t"));
            assert!(answer.log.contains(SECRET));
        }
    }
}

#[tokio::test]
async fn trailers_where_none_belong_tell_no_more_than_those_of_grpc() {
    let trailers = [
        ("grpc-status", "13"),
        ("grpc-message", SECRET),
        ("server", SECRET),
    ];
    for content_type in ["application/grpc-web", "application/connect+proto"] {
        let stream = body(&[&envelope(0, b"data")], &trailers);
        let answer = call(
            content_type,
            response(200, &[("content-type", content_type)], stream),
        )
        .await;
        assert_eq!(answer.trailers["grpc-status"], "13");
        assert!(!answer.everything().contains(SECRET), "{content_type}");
        assert!(answer.log.contains(SECRET), "{content_type}");
    }
}

#[tokio::test]
async fn an_end_that_cannot_be_read_is_an_internal_error() {
    let long = format!(
        "{{\"metadata\":{{\"a\":[\"{}\"]}}}}",
        "s3cr3t".repeat(20_000)
    );
    let unreadable = [
        envelope(3, SECRET.as_bytes()),
        envelope(2, SECRET.as_bytes()),
        envelope(
            2,
            br#"{"err\u006fr":{"code":"internal","message":"s3cr3t"}}"#,
        ),
        envelope(
            2,
            br#"{"error":null,"error":{"code":"internal","message":"s3cr3t"}}"#,
        ),
        envelope(2, br#"{"error":"s3cr3t"}"#),
        envelope(2, br#"{"error":{"code":"banana","message":"s3cr3t"}}"#),
        envelope(2, long.as_bytes()),
    ];
    for end in unreadable {
        let answer = call(CONNECT, response(200, &[("content-type", CONNECT)], end)).await;
        let told = last_message(&answer.body);
        assert_eq!(told["error"]["message"], MESSAGE);
        assert!(!answer.text().contains("s3cr3t"));
    }
}

#[tokio::test]
async fn a_connect_stream_is_asked_for_uncompressed() {
    use tower::{Layer, ServiceExt, service_fn};
    let seen = service_fn(|request: http::Request<Body>| async move {
        assert!(!request.headers().contains_key("connect-accept-encoding"));
        assert!(request.headers().contains_key("accept-encoding"));
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    });
    let request = http::Request::post("/")
        .header("content-type", CONNECT)
        .header("connect-accept-encoding", "gzip")
        .header("accept-encoding", "identity");
    let request = request.body(Body::empty()).unwrap();
    SanitizeErrorsLayer::new()
        .layer(seen)
        .oneshot(request)
        .await
        .unwrap();
}

fn last_message(envelope: &[u8]) -> Value {
    assert_eq!(envelope[0], 2);
    let length = u32::from_be_bytes(envelope[1..5].try_into().unwrap()) as usize;
    assert_eq!(length, envelope.len() - 5);
    serde_json::from_slice(&envelope[5..]).unwrap()
}

#[tokio::test]
async fn with_insecure_details_a_failed_call_keeps_its_trailers() {
    let trailers = [
        ("grpc-status", "13"),
        ("grpc-message", SECRET),
        ("server", "app/1"),
    ];
    let head = [("content-type", GRPC)];
    let message = envelope(0, b"data");
    let failed = || response(502, &head, body(&[&message], &trailers));
    let request = [ID, ("content-type", GRPC)];

    let open = SanitizeErrorsLayer::new().with_insecure_details(true);
    let answer = ask(open, &request, failed()).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (502, &*message),
        "as it was"
    );
    assert_eq!(answer.trailers["grpc-status"], "13");
    assert_eq!(answer.trailers["grpc-message"], SECRET);
    assert!(!answer.trailers.contains_key("server"));
    assert_eq!(answer.log.matches(" ERROR ").count(), 1);

    let answer = call(GRPC, failed()).await;
    assert_eq!(answer.headers["grpc-message"], MESSAGE);
    assert!(answer.trailers.is_empty() && answer.body.is_empty());
    assert!(!answer.everything().contains(SECRET));
}

#[tokio::test]
async fn a_public_error_of_connect_keeps_its_trailers() {
    let json = [("content-type", "application/json")];
    let error = r#"{"code":"unavailable","message":"come back"}"#;
    let trailers = [("x-kept", "a"), ("server", "app/1")];
    let failed = response(503, &json, body(&[error.as_bytes()], &trailers));
    let request = [
        ID,
        ("content-type", "application/json"),
        ("connect-protocol-version", "1"),
    ];
    let answer = ask(SanitizeErrorsLayer::new(), &request, failed).await;
    assert_eq!(answer.text(), error);
    assert_eq!(answer.trailers["x-kept"], "a");
    assert!(!answer.trailers.contains_key("server"));
}
