//! Responses as a whole: plain HTTP, and the unary calls of Connect and gRPC.

use std::convert::Infallible;

use axum::body::Body;
use http::{HeaderName, Request};
use serde_json::Value;
use tower_plugin_core::{Code, Rejection, ResponseBody};
use tower_plugin_validate::{
    SanitizeErrorsLayer,
    sanitize::{PublicError, RequestId},
};

use crate::support::{SECRET, ask, body, response, send};

const ID: (&str, &str) = ("x-request-id", "7b0a9a3e");

fn layer() -> SanitizeErrorsLayer {
    SanitizeErrorsLayer::new()
}

#[tokio::test]
async fn a_5xx_is_told_in_public_words_and_logged_once_with_its_own() {
    let headers = [
        ("content-type", "text/html"),
        ("content-length", "35"),
        ("content-encoding", "identity"),
        ("etag", "\"abc\""),
        ("retry-after", "7"),
    ];
    let page = format!("<pre>cannot open {SECRET}\n at main.rs:7</pre>");
    let answer = ask(layer(), &[ID], response(503, &headers, page)).await;

    assert_eq!(answer.status, 503);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], 503);
    assert_eq!(problem["code"], "unavailable");
    assert_eq!(problem["detail"], "internal error, reference 7b0a9a3e");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["x-request-id"], "7b0a9a3e");
    assert_eq!(
        answer.headers["retry-after"], "7",
        "what does not concern the body stays"
    );
    for gone in ["content-length", "content-encoding", "etag"] {
        assert!(!answer.headers.contains_key(gone), "{gone}");
    }
    assert!(!answer.everything().contains("s3cr3t"));

    let errors: Vec<_> = answer
        .log
        .lines()
        .filter(|line| line.contains(" ERROR "))
        .collect();
    assert_eq!(errors.len(), 1, "{}", answer.log);
    assert!(errors[0].contains(SECRET) && errors[0].contains("reference=7b0a9a3e"));
    assert!(
        errors[0].contains("\\n at main.rs:7"),
        "one error, one line"
    );
}

#[tokio::test]
async fn everything_else_passes_as_it_is() {
    let headers = [
        ("content-type", "application/json"),
        ("content-length", "2"),
        ("etag", "\"a\""),
    ];
    for status in [200, 206, 302, 400, 404, 422, 429, 499] {
        let answer = ask(layer(), &[], response(status, &headers, "{}")).await;
        assert_eq!((answer.status, &*answer.body), (status, &b"{}"[..]));
        assert_eq!(answer.headers["etag"], "\"a\"");
        assert_eq!(answer.log, "");
    }
}

#[tokio::test]
async fn refusals_of_ours_and_what_is_declared_public_pass() {
    let rejection = Rejection::new(Code::Unavailable, "STORE", "try again later");
    let refused: http::Response<ResponseBody<Body>> =
        rejection.into_response(&http::HeaderMap::new());
    let answer = ask(layer(), &[], refused.map(Body::new)).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("try again later"));

    let mut waiting = response(503, &[("server", "app/1")], "waiting for the database");
    waiting.extensions_mut().insert(PublicError);
    let answer = ask(layer(), &[], waiting).await;
    assert_eq!(answer.text(), "waiting for the database");
    assert!(
        !answer.headers.contains_key("server"),
        "headers are no part of it"
    );
    assert_eq!(answer.log, "");
}

#[tokio::test]
async fn two_of_them_say_and_log_it_once() {
    let inner = service_that_fails();
    let stacked = tower::ServiceBuilder::new()
        .layer(layer())
        .layer(layer())
        .service(inner);
    let (log, _guard) = crate::support::log();
    let request = Request::new(Body::empty());
    let response = tower::ServiceExt::oneshot(stacked, request).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(log.text().matches(" ERROR ").count(), 1);
}

fn service_that_fails()
-> impl tower::Service<Request<Body>, Response = http::Response<Body>, Error = Infallible> {
    tower::service_fn(|_| async { Ok(response(500, &[], SECRET)) })
}

#[tokio::test]
async fn the_reference_is_the_requests_if_it_can_be_repeated() {
    let broken = || response(500, &[], "broken");
    // From the extensions, before the header.
    let mut request = Request::post("/")
        .header("x-request-id", "header")
        .body(Body::empty())
        .unwrap();
    request
        .extensions_mut()
        .insert(RequestId::new(b"extension").unwrap());
    assert_eq!(
        send(layer(), request, broken()).await.reference(),
        "extension"
    );

    let other = layer().with_request_id_header(HeaderName::from_static("x-amzn-trace-id"));
    let answer = ask(other, &[("x-amzn-trace-id", "Root=1-2")], broken()).await;
    assert_eq!(answer.reference(), "Root=1-2");
    assert_eq!(answer.headers["x-amzn-trace-id"], "Root=1-2");

    let too_long = "a".repeat(65);
    let mut seen = Vec::new();
    for hostile in ["<script>alert(1)</script>", "a b", "a\"b", "", &too_long] {
        let answer = ask(layer(), &[("x-request-id", hostile)], broken()).await;
        let reference = answer.reference();
        assert_eq!(reference.len(), 32, "{hostile:?}");
        assert!(answer.text().contains(&reference));
        assert!(hostile.is_empty() || !answer.text().contains(hostile));
        seen.push(reference);
    }
    seen.dedup();
    assert_eq!(seen.len(), 5, "each its own");
}

#[tokio::test]
async fn headers_that_tell_what_it_was_made_with_are_taken_from_every_response() {
    let headers = [
        ("server", "app/1.2.3"),
        ("x-powered-by", "rust"),
        ("x-kept", "a"),
    ];
    let answer = ask(layer(), &[], response(200, &headers, "fine")).await;
    assert_eq!(answer.headers.keys().collect::<Vec<_>>(), ["x-kept"]);

    let own = layer().with_scrubbed_headers([HeaderName::from_static("x-kept")]);
    let answer = ask(own, &[], response(200, &headers, "fine")).await;
    assert_eq!(
        answer.headers.keys().collect::<Vec<_>>(),
        ["server", "x-powered-by"]
    );
}

#[tokio::test]
async fn with_insecure_details_all_is_shown_and_logged() {
    let open = || layer().with_insecure_details(true);
    let answer = ask(open(), &[], response(500, &[("etag", "\"a\"")], SECRET)).await;
    assert_eq!((answer.status, answer.text()), (500, SECRET.to_owned()));
    assert!(answer.headers.contains_key("etag"));
    assert_eq!(answer.log.matches(" ERROR ").count(), 1);

    let failed = response(
        200,
        &[
            ("content-type", "application/grpc"),
            ("grpc-status", "13"),
            ("grpc-message", SECRET),
        ],
        "",
    );
    let answer = ask(open(), &[("content-type", "application/grpc")], failed).await;
    assert_eq!(answer.headers["grpc-message"], SECRET);
}

#[tokio::test]
async fn the_words_are_the_operators() {
    let own = layer().with_message("something broke; ask support");
    let answer = ask(own, &[ID], response(500, &[], SECRET)).await;
    assert!(
        answer
            .text()
            .contains("something broke; ask support, reference 7b0a9a3e")
    );

    let long = layer().with_message("\u{e9}".repeat(1000));
    let answer = ask(long, &[ID], response(500, &[], SECRET)).await;
    assert!(
        answer.text().contains("\u{e9}, reference 7b0a9a3e"),
        "the reference is never cut off"
    );
}

#[tokio::test]
async fn a_body_that_is_slow_to_come_is_not_waited_for() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    sender.try_send(Ok(SECRET.into())).unwrap();
    let slow = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let answer = ask(layer(), &[ID], response(500, &[], slow)).await;
    assert!(answer.text().contains("internal error"));
    assert!(answer.log.contains(SECRET), "what was there is logged");
    drop(sender);
}

#[tokio::test]
async fn a_body_of_frames_without_end_is_not_read_to_its_end() {
    for frame in ["", "x"] {
        // Always ready, unlike tokio's streams, which wait now and then.
        let endless = futures_util::stream::repeat(Ok::<_, Infallible>(frame));
        let endless = Body::from_stream(endless);
        let answer = ask(layer(), &[ID], response(500, &[], endless)).await;
        assert!(answer.text().contains("internal error"));
    }
}

#[tokio::test]
async fn a_long_body_is_logged_in_part() {
    let long = "x".repeat(1 << 20);
    let answer = ask(layer(), &[ID], response(500, &[], long)).await;
    assert!(
        (4096..6000).contains(&answer.log.len()),
        "{}",
        answer.log.len()
    );
}

#[tokio::test]
async fn callers_of_other_protocols_are_told_in_theirs() {
    let broken = || response(500, &[("content-type", "text/plain")], SECRET);

    let answer = ask(
        layer(),
        &[ID, ("content-type", "application/grpc+proto")],
        broken(),
    )
    .await;
    assert_eq!(
        (answer.status, &answer.headers["grpc-status"]),
        (200, &"13".parse().unwrap())
    );
    assert_eq!(
        answer.headers["grpc-message"],
        "internal error, reference 7b0a9a3e"
    );
    assert_eq!(answer.headers["content-type"], "application/grpc+proto");
    assert_eq!(answer.text(), "");

    let answer = ask(
        layer(),
        &[ID, ("content-type", "application/connect+json")],
        broken(),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/connect+json");
    assert!(answer.text().contains("internal error, reference 7b0a9a3e"));

    let unary = [ID, ("content-type", "application/proto")];
    let answer = ask(layer(), &unary, broken()).await;
    let error: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &error["code"]), (500, &"internal".into()));
}

#[tokio::test]
async fn a_connect_error_is_known_by_its_code() {
    let request = [
        ID,
        ("content-type", "application/json"),
        ("connect-protocol-version", "1"),
    ];
    let error = |code: &str| {
        format!(
            r#"{{"code":"{code}","message":"{SECRET}","details":[{{"type":"a.B","value":"czNjcjN0"}}]}}"#
        )
    };
    let json = [
        ("content-type", "application/json"),
        ("content-length", "77"),
    ];

    for (status, code) in [(500, "internal"), (500, "unknown"), (500, "data_loss")] {
        let answer = ask(layer(), &request, response(status, &json, error(code))).await;
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &told["code"]), (status, &code.into()));
        assert_eq!(told["message"], "internal error, reference 7b0a9a3e");
        assert!(
            !answer.everything().contains("s3cr3t") && !answer.everything().contains("czNjcjN0")
        );
    }
    // The words of these are for the caller, in one piece or in more.
    for (status, code) in [
        (503, "unavailable"),
        (501, "unimplemented"),
        (504, "deadline_exceeded"),
    ] {
        let text = error(code);
        let answer = ask(layer(), &request, response(status, &json, text.clone())).await;
        assert_eq!(
            (answer.status, answer.text()),
            (status, text.clone()),
            "{code}"
        );
        let (front, back) = text.as_bytes().split_at(10);
        let pieces = body(&[front, back], &[]);
        let answer = ask(layer(), &request, response(status, &json, pieces)).await;
        assert_eq!((answer.status, answer.text()), (status, text), "{code}");
    }
    // What cannot be read is not passed on.
    let compressed = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let answer = ask(
        layer(),
        &request,
        response(503, &compressed, error("unavailable")),
    )
    .await;
    assert!(!answer.everything().contains("s3cr3t"));
    assert!(!answer.headers.contains_key("content-encoding"));
    let answer = ask(
        layer(),
        &request,
        response(503, &json, format!("[\"{SECRET}\"]")),
    )
    .await;
    assert!(!answer.everything().contains("s3cr3t"));
}
