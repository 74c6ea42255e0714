//! Checked payloads on an axum server, over real sockets: what callers of each protocol are told.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{
    Extension, Form, Json, Router,
    extract::{DefaultBodyLimit, Path, Query},
    routing::{get, post},
};
use bytes::Bytes;
use connectrpc::client::{ClientConfig, HttpClient};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic_types::pb;
use tower_plugin_examples::proto::connectplugin::v1::{HandshakeRequest, HandshakeServiceClient};
use tower_plugin_tests::connect::{detail, violations};
use tower_plugin_validate::{
    BodyGuardLayer, BodyLimits,
    payload::{Check, Checked, Garde, Violations, shape::JsonShape},
};
use validator::Validate;

#[derive(Deserialize, Validate)]
struct Order {
    #[validate(length(min = 1, max = 8))]
    customer: String,
    #[validate(nested)]
    lines: Vec<Line>,
    #[validate(nested)]
    gift: Option<Gift>,
    #[serde(default)]
    labels: BTreeMap<String, u32>,
}

#[derive(Deserialize, Validate)]
struct Line {
    #[validate(length(equal = 5, message = "must be an article number"))]
    sku: String,
    #[validate(range(min = 1, max = 10))]
    quantity: u32,
}

#[derive(Deserialize, Validate)]
#[validate(schema(function = "wrapped", skip_on_field_errors = false))]
struct Gift {
    paper: Option<String>,
    #[validate(custom(function = "quotes_what_it_is_given"))]
    card: String,
}

fn wrapped(gift: &Gift) -> Result<(), validator::ValidationError> {
    match gift.paper {
        Some(_) => Ok(()),
        None => Err(validator::ValidationError::new("no_paper")),
    }
}

/// What a careless rule does.
fn quotes_what_it_is_given(card: &str) -> Result<(), validator::ValidationError> {
    let mut error = validator::ValidationError::new("card_text");
    error.message = Some(format!("{card:?} is rude").into());
    Err(error)
}

#[derive(Deserialize, Validate)]
struct Page {
    #[validate(range(min = 1))]
    page: u32,
}

#[derive(Deserialize, garde::Validate)]
struct Login {
    #[garde(length(min = 3, max = 8))]
    name: String,
    #[garde(custom(strong))]
    password: String,
    #[garde(skip)]
    remember: bool,
}

fn strong(password: &str, _: &()) -> garde::Result {
    let _ = password.len();
    Err(garde::Error::new(format!("{password} is weak")))
}

/// A rule of one's own.
#[derive(Deserialize)]
struct Window {
    from: u64,
    to: u64,
}

impl Check for Window {
    fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::new();
        if self.from > self.to {
            violations.add("to", "RANGE", "must not be before `from`");
        }
        violations.into_result()
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read by serde alone")]
struct Point {
    labels: BTreeMap<u8, u8>,
    color: Color,
    point: (f64, f64),
}

#[derive(Deserialize)]
enum Color {
    Blue,
    Red,
}

impl Check for Point {
    fn check(&self) -> Result<(), Violations> {
        Ok(())
    }
}

#[tokio::test]
async fn json_is_parsed_checked_and_refused_by_field() {
    let server = Server::start().await;
    struct Case {
        name: &'static str,
        body: Value,
        errors: &'static [(&'static str, &'static str, &'static str)],
    }
    let line = json!({"sku": "apple", "quantity": 3});
    let cases = [
        Case {
            name: "rules of the type, in the order of their names",
            body: json!({"customer": "", "lines": [line, {"sku": "pear", "quantity": 11}]}),
            errors: &[
                (
                    "body.customer",
                    "LENGTH",
                    "must be at least 1 and at most 8 long",
                ),
                (
                    "body.lines[1].quantity",
                    "RANGE",
                    "must be at least 1 and at most 10",
                ),
                ("body.lines[1].sku", "LENGTH", "must be an article number"),
            ],
        },
        Case {
            name: "rules of a struct, and words that may quote",
            body: json!({"customer": "a", "lines": [], "gift": {"card": "rude"}}),
            errors: &[
                ("body.gift", "no_paper", "is not valid"),
                ("body.gift.card", "card_text", "is not valid"),
            ],
        },
        Case {
            name: "of the wrong type",
            body: json!({"customer": "a", "lines": [line, {"sku": "apple", "quantity": "three"}]}),
            errors: &[("body.lines[1].quantity", "TYPE", "is of the wrong type")],
        },
        Case {
            name: "not there",
            body: json!({"customer": "a"}),
            errors: &[("body.lines", "REQUIRED", "is required")],
        },
        Case {
            name: "under a name of the caller's",
            body: json!({"customer": "a", "lines": [], "labels": {"mine": "x"}}),
            errors: &[("body.labels.*", "TYPE", "is of the wrong type")],
        },
    ];
    for case in cases {
        let (status, problem) = server.post("/orders", &case.body).await;
        assert_eq!(status, 422, "{}", case.name);
        assert_eq!(problem["code"], "invalid_argument", "{}", case.name);
        let errors = errors_of(&problem);
        let errors: Vec<_> = errors.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
        assert_eq!(errors, case.errors, "{}", case.name);
    }
    let good = json!({"customer": "alice", "lines": [line]});
    assert_eq!(server.post("/orders", &good).await, (200, json!(1)));
}

/// serde_json says of these that they are no JSON.
#[tokio::test]
async fn json_that_is_not_of_the_type_is_never_called_no_json() {
    let server = Server::start().await;
    let points = |labels: Value, color: Value, point: Value| {
        json!({"labels": labels, "color": color, "point": point}).to_string()
    };
    let cases = [
        (points(json!({}), json!(7), json!([1, 2])), "body.color"),
        (
            points(json!({"x": 1}), json!("Red"), json!([1, 2])),
            "body.labels",
        ),
        (
            points(json!({}), json!("Red"), json!([1, 2, 3])),
            "body.point",
        ),
        (
            points(json!({}), json!({"Red": null, "Blue": null}), json!([1, 2])),
            "body.color",
        ),
        (
            points(json!({}), json!("Red"), json!([1, 2])).replace('2', "2e999"),
            "body.point[1]",
        ),
    ];
    for (body, field) in cases {
        let post = || Request::post("/points").header("content-type", "application/json");
        let (status, problem) = server.send(post(), body.clone()).await;
        assert_eq!(
            (status, &problem["reason"]),
            (422, &"INVALID".into()),
            "{body}"
        );
        let (found, reason, _) = &errors_of(&problem)[0];
        assert_eq!((&**found, &**reason), (field, "VALUE"), "{body}");
        let torn = body[..body.len() - 1].to_owned();
        let (_, problem) = server.send(post(), torn).await;
        assert_eq!(problem["reason"], "JSON_SYNTAX", "{body}");
    }
}

#[tokio::test]
async fn what_is_no_json_or_too_much_of_it_is_refused_before_it_is_parsed() {
    let server = Server::start().await;
    struct Case {
        name: &'static str,
        content_type: &'static str,
        body: String,
        status: u16,
        reason: &'static str,
        detail: &'static str,
    }
    let cases = [
        Case {
            name: "no JSON",
            content_type: "application/json",
            body: r#"{"customer": "hunter2", "lines": [}"#.into(),
            status: 400,
            reason: "JSON_SYNTAX",
            detail: "is no JSON from line 1, column 35 on",
        },
        Case {
            name: "nothing",
            content_type: "application/json",
            body: String::new(),
            status: 400,
            reason: "JSON_SYNTAX",
            detail: "is empty",
        },
        Case {
            name: "no end",
            content_type: "application/json",
            body: r#"{"customer": "hunter2""#.into(),
            status: 400,
            reason: "JSON_SYNTAX",
            detail: "ends before its JSON does",
        },
        Case {
            name: "more than one text",
            content_type: "application/json",
            body: r#"{"customer":"a","lines":[]} {}"#.into(),
            status: 400,
            reason: "JSON_SYNTAX",
            detail: "is no JSON from line 1, column 29 on",
        },
        Case {
            name: "nested too deeply",
            content_type: "application/merge-patch+json; charset=utf-8",
            body: "[".repeat(100_000),
            status: 400,
            reason: "JSON_DEPTH",
            detail: "the JSON is nested too deeply",
        },
        Case {
            name: "too many members",
            content_type: "application/json",
            body: format!("{{{}\"a\":1}}", "\"a\":1,".repeat(20)),
            status: 400,
            reason: "JSON_OBJECT_SIZE",
            detail: "a JSON object has too many members",
        },
        Case {
            name: "too long",
            content_type: "application/json",
            body: " ".repeat(200_001),
            status: 413,
            reason: "BODY_SIZE",
            detail: "the body is too large",
        },
        Case {
            name: "of another type",
            content_type: "text/plain",
            body: "{}".into(),
            status: 415,
            reason: "CONTENT_TYPE",
            detail: "content-type must be application/json, or end in +json",
        },
    ];
    for case in cases {
        let request = Request::post("/orders").header("content-type", case.content_type);
        let (status, problem) = server.send(request, case.body).await;
        assert_eq!(status, case.status, "{}: {problem}", case.name);
        assert_eq!(problem["reason"], case.reason, "{}", case.name);
        assert_eq!(errors_of(&problem)[0].2, case.detail, "{}", case.name);
        assert!(!problem.to_string().contains("hunter2"));
    }
}

/// A megabyte of reason was stored for an anonymous caller, in a field that nothing looked at.
#[tokio::test]
async fn f47_a_long_string_is_refused_in_any_field_and_as_any_name() {
    let server = Server::start().await;
    let long = "x".repeat(2000);
    let bodies = [
        json!({"customer": long, "lines": []}),
        json!({"customer": "a", "lines": [{"sku": long, "quantity": 1}]}),
        json!({"customer": "a", "lines": [], "labels": {&long: 1}}),
        json!({"customer": "a", "lines": [], "a field nobody reads": [{"reason": long}]}),
        json!({"customer": "a", "lines": [], &long: null}),
    ];
    for body in bodies {
        let (status, problem) = server.post("/orders", &body).await;
        assert_eq!(
            (status, &problem["reason"]),
            (400, &"JSON_STRING_SIZE".into())
        );
    }
}

#[tokio::test]
async fn axums_own_limit_and_the_guard_are_told_apart_from_a_bad_body() {
    let server = Server::start().await;
    let long = format!("\"{}\"", "x".repeat(2000));
    for path in ["/limited", "/guarded"] {
        // In chunks, so that nothing is announced.
        let (status, problem) = server.post_in_chunks(path, &long).await;
        assert_eq!(status, 413, "{path}");
        assert_eq!(problem["reason"], "BODY_SIZE", "{path}");
        assert_eq!(problem["code"], "resource_exhausted", "{path}");
    }
}

#[tokio::test]
async fn paths_queries_and_forms_are_checked_too() {
    let server = Server::start().await;
    let form = |body: &str| {
        let request =
            Request::post("/form").header("content-type", "application/x-www-form-urlencoded");
        (request, body.to_owned())
    };
    let get = |target: &str| (Request::get(target), String::new());
    let cases = [
        (get("/search?page=3"), 200, "", ""),
        (get("/search?page=0"), 422, "query.page", "RANGE"),
        (get("/search?page=hunter2"), 400, "query.page", "VALUE"),
        (get("/search"), 400, "query.page", "REQUIRED"),
        (get("/search?page=1&page=2"), 400, "query.page", "DUPLICATE"),
        (get("/pages/3"), 200, "", ""),
        (get("/pages/0"), 422, "path.page", "RANGE"),
        (get("/pages/hunter2"), 400, "path.page", "VALUE"),
        (form("page=3"), 200, "", ""),
        (form("page=0"), 422, "body.page", "RANGE"),
        (form("page=hunter2"), 422, "body.page", "VALUE"),
        (form(&"page=3&".repeat(300)), 400, "body", "FORM_SIZE"),
        (
            (Request::post("/form"), "page=3".to_owned()),
            415,
            "header.content-type",
            "CONTENT_TYPE",
        ),
        (get("/form?page=0"), 422, "query.page", "RANGE"),
        (get("/window?from=2&to=1"), 422, "query.to", "RANGE"),
        (get("/window?from=1&to=2"), 200, "", ""),
    ];
    for ((request, body), expected, field, reason) in cases {
        let target = request.uri_ref().unwrap().clone();
        let (status, problem) = server.send(request, body).await;
        assert_eq!(status, expected, "{target}: {problem}");
        assert!(!problem.to_string().contains("hunter2"));
        if expected != 200 {
            let errors = errors_of(&problem);
            assert_eq!((&*errors[0].0, &*errors[0].1), (field, reason), "{target}");
        }
    }
}

#[tokio::test]
async fn gardes_rules_are_told_in_our_words_and_others_not_at_all() {
    let server = Server::start().await;
    let body = json!({"name": "al", "password": "hunter2", "remember": true});
    let (status, problem) = server.post("/login", &body).await;
    assert_eq!(status, 422);
    let errors = errors_of(&problem);
    let expected = [
        ("body.name", "LENGTH", "must be longer"),
        ("body.password", "INVALID", "is not valid"),
    ];
    let errors: Vec<_> = errors.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
    assert_eq!(errors, expected);
}

#[tokio::test]
async fn a_connect_caller_finds_the_violations_among_the_details() {
    let server = Server::start().await;
    let uri = format!("http://{}", server.address).parse().unwrap();
    let client =
        HandshakeServiceClient::new(HttpClient::plaintext(), ClientConfig::new(uri).json());
    let request = HandshakeRequest {
        core_protocol_version: 7,
        self_id: "hunter2, hunter2".to_owned(),
        ..HandshakeRequest::default()
    };
    let error = client.handshake(request).await.unwrap_err();
    assert_eq!(error.code.as_str(), "invalid_argument");
    let told = violations(&error);
    let told: Vec<_> = told.iter().map(|(f, d)| (f.as_str(), d.as_str())).collect();
    let expected = [
        ("body.core_protocol_version", "must be at most 1"),
        ("body.self_id", "must be at most 8 long"),
    ];
    assert_eq!(told, expected);
    let info: pb::ErrorInfo = detail(&error, "google.rpc.ErrorInfo");
    assert_eq!(info.reason, "INVALID");
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// A message of Connect as JSON, read by an extractor.
#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Greeting {
    #[validate(range(max = 1))]
    core_protocol_version: i32,
    #[validate(length(max = 8))]
    self_id: String,
}

fn errors_of(problem: &Value) -> Vec<(String, String, String)> {
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    let errors = problem["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{problem}"));
    errors
        .iter()
        .map(|error| {
            (
                text(error, "field"),
                text(error, "code"),
                text(error, "detail"),
            )
        })
        .collect()
}

struct Server {
    address: SocketAddr,
    client: Client<HttpConnector, axum::body::Body>,
}

impl Server {
    async fn start() -> Self {
        let shape = JsonShape::builder()
            .bytes(200_000)
            .members(16)
            .string_bytes(1000)
            .build()
            .unwrap();
        let small = BodyLimits::http()
            .to_builder()
            .body_bytes(1000)
            .build()
            .unwrap();
        let text =
            || post(async |Checked(Json(Garde(Text(text)))): Checked<Json<Garde<Text>>>| text);
        let app = Router::new()
            .route("/orders", post(orders))
            .layer(Extension(shape))
            .route(
                "/search",
                get(async |Checked(Query(page)): Checked<Query<Page>>| page.page.to_string()),
            )
            .route(
                "/pages/{page}",
                get(async |Checked(Path(page)): Checked<Path<Page>>| page.page.to_string()),
            )
            .route("/form", get(form).post(form))
            .route(
                "/window",
                get(async |Checked(Query(window)): Checked<Query<Window>>| window.to.to_string()),
            )
            .route("/login", post(login))
            .route(
                "/points",
                post(async |Checked(Json(_)): Checked<Json<Point>>| "drawn"),
            )
            .route(
                "/connectplugin.v1.HandshakeService/Handshake",
                post(async |Checked(Json(greeting)): Checked<Json<Greeting>>| greeting.self_id),
            )
            .route("/limited", text().layer(DefaultBodyLimit::max(1000)))
            .route("/guarded", text().layer(BodyGuardLayer::new(small)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { address, client }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request, body.to_string()).await
    }

    async fn post_in_chunks(&self, path: &str, body: &str) -> (u16, Value) {
        let chunks: Vec<_> = body
            .as_bytes()
            .chunks(100)
            .map(Bytes::copy_from_slice)
            .collect();
        let chunks = tokio_stream::iter(chunks.into_iter().map(Ok::<_, std::convert::Infallible>));
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request, axum::body::Body::from_stream(chunks))
            .await
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<axum::body::Body>,
    ) -> (u16, Value) {
        let target = request.uri_ref().unwrap().clone();
        let request = request.uri(format!("http://{}{target}", self.address));
        let response = self
            .client
            .request(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let headers: HeaderMap = response.headers().clone();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        if status != 200 {
            assert_eq!(headers["cache-control"], "no-store");
        }
        let value = serde_json::from_slice(&body);
        (
            status,
            value.unwrap_or_else(|_| String::from_utf8_lossy(&body).into()),
        )
    }
}

async fn orders(Checked(Json(order)): Checked<Json<Order>>) -> String {
    let _ = (&order.customer, &order.gift, &order.labels);
    order.lines.len().to_string()
}

async fn form(Checked(Form(page)): Checked<Form<Page>>) -> String {
    page.page.to_string()
}

async fn login(Checked(Json(Garde(login))): Checked<Json<Garde<Login>>>) -> String {
    format!("{} {} {}", login.name, login.password.len(), login.remember)
}

#[derive(Deserialize, garde::Validate)]
#[serde(transparent)]
struct Text(#[garde(skip)] String);
