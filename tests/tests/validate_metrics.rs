//! What the `metrics` facade is told of requests that break a rule, and that it is told nothing of others.

use std::convert::Infallible;

use axum::{Json, Router, body::Body, routing::post};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use serde::Deserialize;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_tests::told::Told;
use tower_plugin_validate::{
    BodyGuardLayer, BodyLimits, Mode, Part, RuleSet, ValidateLayer,
    body::GuardedBody,
    metadata::{Rule, Schema},
    payload::{Checked, checked},
};
use validator::Validate;

#[derive(Debug, Deserialize, Validate)]
struct Order {
    #[validate(length(min = 1))]
    customer: String,
}

/// Head, body and payload, checked one after the other.
fn stack(rules: RuleSet) -> impl Fn(Request<Body>) -> StatusCode {
    let limits = BodyLimits::http().to_builder().body_bytes(100);
    let orders = post(async |Checked(Json(order)): Checked<Json<Order>>| order.customer);
    let app = BodyGuardLayer::new(limits.build().unwrap()).layer(Router::new().route("/a", orders));
    let layer = ValidateLayer::new(rules);
    move |request| answered(layer.layer(app.clone()), request)
}

fn answered<S, B, R>(service: S, request: Request<B>) -> StatusCode
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    let Ok(response) = service
        .oneshot(request)
        .now_or_never()
        .expect("no need to wait");
    response.status()
}

fn rules() -> RuleSet {
    let even = Rule::text().custom("EVEN", "must be of even length", |v| v.len() % 2 == 0);
    let schema = Schema::builder().key("x-even", even).build().unwrap();
    RuleSet::http().with_schema(schema)
}

fn order(target: &str, even: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(target).header("host", "a.example");
    let request = request.header("x-even", even);
    let request = request.header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

/// A body that does not say how long it is.
fn streamed(text: &str) -> Body {
    let chunks = text.as_bytes().chunks(60).map(Bytes::copy_from_slice);
    let frames: Vec<_> = chunks
        .map(|chunk| Ok::<_, Infallible>(http_body::Frame::data(chunk)))
        .collect();
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

#[test]
fn whatever_is_refused_is_counted_once_by_layer_and_rule() {
    let told = Told::default();
    metrics::with_local_recorder(&told, || {
        let send = stack(rules());
        let fine = r#"{"customer": "a"}"#;
        assert_eq!(send(order("/a", "ab", fine)), 200);
        assert_eq!(send(order("/a", "ab", streamed(fine))), 200);
        assert_eq!(told.all(), [], "of requests in order, nothing");

        assert_eq!(send(order("/hunter2/..", "ab", fine)), 400);
        // Two rules of one request: it is counted for the one that it is refused for.
        assert_eq!(send(order("/hunter2/%2e%2E", "hunter2", fine)), 400);
        assert_eq!(send(order("/a", "hunter2", fine)), 400);
        assert_eq!(send(order("/a", "hunter2", fine)), 400);
        assert_eq!(send(order("/a", &"hunter2".repeat(2000), fine)), 431);
        let long = format!(r#"{{"customer": "{}"}}"#, "hunter2".repeat(20));
        assert_eq!(send(order("/a", "ab", long.clone())), 413);
        assert_eq!(send(order("/a", "ab", streamed(&long))), 413);
        assert_eq!(send(order("/a", "ab", r#"{"customer": ""}"#)), 422);
        assert_eq!(send(order("/a", "ab", r#"{"hunter2": ""}"#)), 422);
        assert_eq!(send(order("/a", "ab", "hunter2")), 400);
        let message = Order {
            customer: String::new(),
        };
        assert!(checked(tonic::Request::new(message)).is_err());
    });
    let expected = [
        // Of a body that breaks off, the extractor has its own refusal, which is replaced.
        "refused_total layer=body reason=BODY_SIZE 2",
        "refused_total layer=head reason=EVEN 2",
        "refused_total layer=head reason=HEADER_VALUE_SIZE 1",
        "refused_total layer=head reason=PATH_DOT_SEGMENT 1",
        "refused_total layer=head reason=PATH_ENCODED_DOT 1",
        "refused_total layer=payload reason=BODY_SIZE 1",
        "refused_total layer=payload reason=JSON_SYNTAX 1",
        "refused_total layer=payload reason=LENGTH 2",
        "refused_total layer=payload reason=REQUIRED 1",
    ];
    assert_eq!(told.lines("tower_plugin_validate_"), expected);
}

#[test]
fn what_is_only_observed_is_counted_apart_and_passes() {
    let told = Told::default();
    metrics::with_local_recorder(&told, || {
        let send = stack(rules().with_part_mode(Part::Metadata, Mode::Observe));
        let fine = r#"{"customer": "a"}"#;
        assert_eq!(send(order("/a", "hunter2", fine)), 200);
        assert_eq!(send(order("/..", "hunter2", fine)), 400);
        let send = stack(rules().with_mode(Mode::Observe));
        assert_eq!(send(order("/a", &"hunter2".repeat(2000), fine)), 200);
    });
    let expected = [
        "observed_total reason=EVEN 1",
        "observed_total reason=HEADER_VALUE_SIZE 1",
        "refused_total layer=head reason=PATH_DOT_SEGMENT 1",
    ];
    assert_eq!(told.lines("tower_plugin_validate_"), expected);
}

/// A stream may be answered before a message in it is refused: nobody sees a status then.
#[test]
fn a_body_that_is_refused_after_the_answer_began_is_counted() {
    let told = Told::default();
    metrics::with_local_recorder(&told, || {
        let limits = BodyLimits::grpc().to_builder().messages(1).build().unwrap();
        let echo = service_fn(async |request: Request<GuardedBody<Body>>| {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let messages = Body::new(Full::from(vec![0; 10]));
        let mut request = Request::new(messages);
        let grpc = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", grpc);
        let answer = BodyGuardLayer::new(limits).layer(echo).oneshot(request);
        let answer = answer.now_or_never().expect("no need to wait").unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(told.all(), []);
        let read = answer.into_body().collect().now_or_never();
        assert!(read.expect("no need to wait").is_err());
    });
    let expected = ["refused_total layer=body reason=MESSAGE_COUNT 1"];
    assert_eq!(told.lines("tower_plugin_validate_"), expected);
}
