use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http_body::Body as _;
use http_body_util::Empty;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The status gRPC and Connect pair with each code (Connect protocol, "Error codes").
const TABLE: [(Code, u8, &str, u16); 16] = [
    (Code::Cancelled, 1, "canceled", 499),
    (Code::Unknown, 2, "unknown", 500),
    (Code::InvalidArgument, 3, "invalid_argument", 400),
    (Code::DeadlineExceeded, 4, "deadline_exceeded", 504),
    (Code::NotFound, 5, "not_found", 404),
    (Code::AlreadyExists, 6, "already_exists", 409),
    (Code::PermissionDenied, 7, "permission_denied", 403),
    (Code::ResourceExhausted, 8, "resource_exhausted", 429),
    (Code::FailedPrecondition, 9, "failed_precondition", 400),
    (Code::Aborted, 10, "aborted", 409),
    (Code::OutOfRange, 11, "out_of_range", 400),
    (Code::Unimplemented, 12, "unimplemented", 501),
    (Code::Internal, 13, "internal", 500),
    (Code::Unavailable, 14, "unavailable", 503),
    (Code::DataLoss, 15, "data_loss", 500),
    (Code::Unauthenticated, 16, "unauthenticated", 401),
];

#[test]
fn every_code_in_plain_http() {
    for (code, _, name, status) in TABLE {
        let (head, body) = rendered(refusal(code), "text/plain");
        assert_eq!(head.status, status, "{code:?}");
        assert_common(&head, "application/problem+json");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({
            "type": "about:blank",
            "title": StatusCode::from_u16(status).unwrap().canonical_reason().unwrap_or("Refused"),
            "status": status, "detail": "not \"now\"", "code": name, "reason": "BUSY",
        });
        assert_eq!(body, expected, "{code:?}");
    }
}

#[test]
fn every_code_in_connect_unary() {
    for (code, _, name, status) in TABLE {
        for content_type in ["application/proto", "application/json"] {
            let (head, body) = rendered(refusal(code), content_type);
            assert_eq!(head.status, status, "{code:?}");
            assert_common(&head, "application/json");
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&body["code"], &body["message"]),
                (&json!(name), &json!("not \"now\""))
            );
        }
    }
}

#[test]
fn every_code_in_a_connect_stream() {
    for (code, _, name, _) in TABLE {
        let (head, body) = rendered(refusal(code), "application/connect+json");
        assert_eq!(head.status, 200, "{code:?}");
        assert_common(&head, "application/connect+json");
        let (envelope, message) = body.split_at(5);
        assert_eq!(envelope[0], 0x02, "the end-of-stream flag");
        assert_eq!(
            u32::from_be_bytes(envelope[1..].try_into().unwrap()) as usize,
            message.len()
        );
        let message: Value = serde_json::from_slice(message).unwrap();
        assert_eq!(message["error"]["code"], name);
        assert_eq!(message["error"]["details"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn every_code_in_grpc_and_grpc_web() {
    for (code, number, _, _) in TABLE {
        for content_type in [
            "application/grpc",
            "application/grpc+json",
            "application/grpc-web+proto",
        ] {
            let (head, body) = rendered(refusal(code), content_type);
            assert_eq!(head.status, 200, "{code:?}");
            assert_common(&head, content_type);
            assert_eq!(head.headers["grpc-status"], number.to_string());
            assert_eq!(head.headers["grpc-message"], "not \"now\"");
            assert!(body.is_empty(), "a refusal is trailers only");
            let status = STANDARD_NO_PAD
                .decode(&head.headers["grpc-status-details-bin"])
                .unwrap();
            assert_eq!(status[..2], [0x08, number]);
        }
    }
}

#[test]
fn details_are_the_bytes_of_the_published_messages() {
    let rejection = Rejection::new(Code::ResourceExhausted, "R", "no")
        .with_retry_after(Duration::from_millis(1500))
        .with_violation(Violation::new("f", "V", "d"));
    let expected = [
        &b"\x08\x08\x12\x02no"[..],
        b"\x1a\x3d\x0a\x28type.googleapis.com/google.rpc.ErrorInfo",
        b"\x12\x11\x0a\x01R\x12\x0ctower-plugin",
        b"\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo",
        b"\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01",
        b"\x1a\x38\x0a\x29type.googleapis.com/google.rpc.BadRequest",
        b"\x12\x0b\x0a\x09\x0a\x01f\x12\x01d\x1a\x01V",
    ]
    .concat();
    assert_eq!(details::status(&rejection), expected);
}

#[test]
fn the_headers_of_a_refusal_reach_every_caller_and_none_is_lost() {
    let name = HeaderName::from_static("www-authenticate");
    let rejection = Rejection::new(Code::Unauthenticated, "INVALID_TOKEN", "invalid token")
        .with_header(name.clone(), HeaderValue::from_static("Bearer"))
        .with_header(name.clone(), HeaderValue::from_static("Basic"));
    for content_type in ALL_CONTENT_TYPES {
        let (head, _) = rendered(rejection.clone(), content_type);
        let values: Vec<_> = head.headers.get_all(&name).iter().collect();
        assert_eq!(values, ["Bearer", "Basic"], "{content_type}");
        assert_eq!(head.extensions.get::<Rejection>(), Some(&rejection));
    }
}

#[test]
fn headers_that_would_contradict_the_rendering_are_not_sent() {
    let contradicting = [
        ("connection", "close"),
        ("content-length", "3"),
        ("grpc-status", "0"),
        ("trailer", "grpc-status"),
        ("transfer-encoding", "chunked"),
    ];
    for content_type in ALL_CONTENT_TYPES {
        let mut rejection = refusal(Code::Internal);
        for (name, value) in contradicting {
            let name = HeaderName::from_static(name);
            rejection = rejection.with_header(name, HeaderValue::from_static(value));
        }
        let (plain, _) = rendered(refusal(Code::Internal), content_type);
        let (head, _) = rendered(rejection, content_type);
        assert_eq!(head.headers, plain.headers, "{content_type}");
    }
}

#[test]
fn f37_retry_after_is_rounded_up_and_never_zero() {
    let cases = [
        (Duration::ZERO, "1"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::from_millis(1001), "2"),
        (Duration::MAX, "18446744073709551615"),
    ];
    for (delay, expected) in cases {
        for content_type in ALL_CONTENT_TYPES {
            let rejection = refusal(Code::ResourceExhausted).with_retry_after(delay);
            let (head, _) = rendered(rejection, content_type);
            assert_eq!(head.headers[RETRY_AFTER], expected, "{delay:?}");
        }
    }
}

#[test]
fn a_body_of_the_users_own_cannot_lose_the_head() {
    let own = |_: &Rejection| {
        Response::builder()
            .status(200)
            .header("content-type", "text/html")
            .header("retry-after", "0")
            .body(Bytes::from_static(b"<p>later</p>"))
            .unwrap()
    };
    let response: Response<ResponseBody<Empty<Bytes>>> = refusal(Code::ResourceExhausted)
        .with_retry_after(Duration::from_secs(9))
        .into_response_with(&request("text/plain"), own);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[RETRY_AFTER], "9");
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
    assert_eq!(response.body().size_hint().exact(), Some(12));

    let grpc: Response<ResponseBody<Empty<Bytes>>> =
        refusal(Code::ResourceExhausted).into_response_with(&request("application/grpc"), own);
    assert_eq!(grpc.headers()["grpc-status"], "8");
    assert!(grpc.body().is_end_stream());
}

#[test]
fn a_strange_content_type_is_not_repeated() {
    let long = format!("application/grpc+{}", "a".repeat(100));
    for strange in [long.as_str(), "application/grpc+proto; x=<script>"] {
        let (head, _) = rendered(refusal(Code::Internal), strange);
        assert_eq!(head.headers[CONTENT_TYPE], "application/grpc");
    }
}

#[test]
fn a_message_in_any_script_survives_grpc() {
    let rejection = Rejection::new(Code::Internal, "X", "100 % für\n雪");
    let (head, _) = rendered(rejection, "application/grpc");
    assert_eq!(head.headers["grpc-message"], "100 %25 f%C3%BCr%0A%E9%9B%AA");
}

#[test]
fn what_exceeds_the_caps_is_left_out_whole() {
    let mut rejection = Rejection::new(Code::InvalidArgument, "INVALID", "雪".repeat(5000));
    for _ in 0..40 {
        rejection =
            rejection.with_violation(Violation::new("f".repeat(150), "LENGTH", "d".repeat(300)));
    }
    assert_eq!(rejection.violations().len(), 16);
    assert!(rejection.message().len() <= 1024);

    let (grpc, _) = rendered(rejection.clone(), "application/grpc");
    assert!(grpc.headers["grpc-message"].len() <= 1024);
    let details = &grpc.headers["grpc-status-details-bin"];
    assert!((2048..=4096).contains(&details.len()), "{}", details.len());

    let (_, connect) = rendered(rejection.clone(), "application/proto");
    assert!(connect.len() <= 4096 + 2048, "{}", connect.len());
    let (_, http) = rendered(rejection, "");
    let http: Value = serde_json::from_slice(&http).unwrap();
    assert!((1..16).contains(&http["errors"].as_array().unwrap().len()));
    assert_eq!(http["truncated"], true);
}

#[test]
fn violations_are_told_in_problem_details() {
    let rejection = Rejection::new(Code::InvalidArgument, "INVALID", "invalid request")
        .with_problem_type("urn:example:invalid")
        .with_violation(Violation::new(
            "header.x-tenant-id",
            "UUID",
            "must be a UUID",
        ));
    let (_, body) = rendered(rejection, "");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "urn:example:invalid");
    assert_eq!(
        body["errors"],
        json!([{"field": "header.x-tenant-id", "code": "UUID", "detail": "must be a UUID"}])
    );
    assert_eq!(body.get("truncated"), None);
}

proptest! {
    #[test]
    fn any_text_is_rendered_and_read_back(message in any::<String>(), field in any::<String>()) {
        let rejection = Rejection::new(Code::InvalidArgument, "INVALID", message)
            .with_violation(Violation::new(field.clone(), "RULE", "wrong"));
        let (_, body) = rendered(rejection.clone(), "");
        let body: Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(body["detail"].as_str(), Some(rejection.message()));
        prop_assert_eq!(body["errors"][0]["field"].as_str(), Some(field.as_str()));
        for content_type in ALL_CONTENT_TYPES {
            rendered(rejection.clone(), content_type);
        }
    }

    #[test]
    fn whatever_the_request_claims_to_be_it_is_answered(content_type in "[ -~]{0,80}") {
        let (head, _) = rendered(refusal(Code::Internal), &content_type);
        prop_assert!(head.headers.contains_key(CONTENT_TYPE));
    }
}

const ALL_CONTENT_TYPES: [&str; 5] = [
    "",
    "application/proto",
    "application/connect+proto",
    "application/grpc",
    "application/grpc-web",
];

fn refusal(code: Code) -> Rejection {
    Rejection::new(code, "BUSY", "not \"now\"").with_retry_after(Duration::from_millis(1))
}

fn request(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    }
    if content_type == "application/json" {
        headers.insert("connect-protocol-version", HeaderValue::from_static("1"));
    }
    headers
}

fn rendered(rejection: Rejection, content_type: &str) -> (http::response::Parts, Bytes) {
    let response: Response<ResponseBody<Empty<Bytes>>> =
        rejection.into_response(&request(content_type));
    let (head, body) = response.into_parts();
    let mut body = std::pin::pin!(body);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut bytes = Vec::new();
    while let std::task::Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        bytes.extend(frame.unwrap().into_data().unwrap());
    }
    (head, bytes.into())
}

fn assert_common(head: &http::response::Parts, content_type: &str) {
    assert_eq!(head.headers[CONTENT_TYPE], content_type);
    assert_eq!(head.headers[CACHE_CONTROL], "no-store");
    assert_eq!(head.headers[RETRY_AFTER], "1");
}

#[test]
fn a_prepared_refusal_is_told_as_any_other() {
    let plain = Rejection::new(Code::ResourceExhausted, "RATE_LIMITED", "too many requests")
        .with_problem_type("https://example.com/quota");
    let later = |rejection: Rejection| {
        [
            rejection.clone(),
            rejection.clone().with_retry_after(Duration::from_secs(7)),
            rejection.clone().with_status(StatusCode::FORBIDDEN),
            rejection.clone().with_problem_type("about:blank"),
            rejection.with_violation(Violation::new("a", "B", "c")),
        ]
    };
    let told = |rejection: Rejection| {
        let (head, body) = rendered(rejection, "text/plain");
        (head.status, head.headers, body)
    };
    for (prepared, plain) in later(plain.clone().prepared())
        .into_iter()
        .zip(later(plain))
    {
        assert_eq!(prepared, plain);
        assert_eq!(told(prepared), told(plain));
    }
}
