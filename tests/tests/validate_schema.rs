//! Metadata rules as their users meet them: by route, live, observed, typed, and told in every
//! protocol.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{Ready, ready},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use connectrpc::client::{ClientConfig, HttpClient};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use serde::Deserialize;
use tokio::net::TcpListener;
use tonic_types::StatusExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_examples::proto::connectplugin::v1::{
    HandshakeRequest, HandshakeServiceClient, ServiceRegistryClient, WatchServiceRequest,
};
use tower_plugin_tests::connect::violations;
use tower_plugin_validate::{
    CanonicalPath, LiveRules, Metadata, Mode, Observed, Part, Rejection, ResponseBody, Route,
    RouteRules, RuleSet, TypedMetadata, ValidateLayer,
    format::{Format, UrlRule},
    limits::Limits,
    metadata::{Pattern, RISKY_NAMES, Rule, Schema},
    path::{NonCanonical, PathRules},
};
use validator::Validate;

type Reply = Response<ResponseBody<Full<Bytes>>>;
type Fields<'a> = &'a [(&'a str, &'a str)];
type Echo = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// Says that it was reached, and whether the path is canonical.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a service is given its request"
)]
fn echo(request: Request<()>) -> Echo {
    let canonical = request.extensions().get::<CanonicalPath>();
    let body = canonical.map_or("-", CanonicalPath::as_str).to_owned();
    ready(Ok(Response::new(Full::from(body))))
}

async fn send(layer: &ValidateLayer, request: Request<()>) -> Reply {
    let Ok(reply) = layer.layer(service_fn(echo)).oneshot(request).await;
    reply
}

fn request(target: &str, fields: Fields<'_>) -> Request<()> {
    let mut request = Request::post(target).header("host", "a.example");
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request = request.header(*name, value);
    }
    request.body(()).unwrap()
}

/// What a refused caller is told: field and reason of each violation.
fn told(reply: &Reply) -> Vec<String> {
    let rejection = reply.extensions().get::<Rejection>();
    let violations = rejection.map_or(&[][..], Rejection::violations);
    violations
        .iter()
        .map(|v| format!("{} {}", v.field(), v.reason()))
        .collect()
}

async fn body(reply: Reply) -> Vec<u8> {
    reply
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec()
}

fn tenants() -> Schema {
    let ticket = Pattern::new("[A-Z]{2}-[0-9]{1,6}", "must be a ticket such as AB-12").unwrap();
    Schema::builder()
        .key("x-tenant-id", Rule::from(Format::Uuid).required())
        .key("x-retry", Rule::integer(0..=10))
        .key("x-ticket", Rule::pattern(ticket))
        .forbid(RISKY_NAMES)
        .build()
        .unwrap()
}

const TENANT: (&str, &str) = ("x-tenant-id", "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11");

#[tokio::test]
async fn every_violation_is_told_in_the_order_framing_path_metadata() {
    let rules = RuleSet::http()
        .with_schema(tenants())
        .with_canonical_path(true);
    let layer = ValidateLayer::new(rules);
    let fields = [
        ("x-retry", "11"),
        ("x-middleware-subrequest", "1"),
        ("x-note", "\u{e9}"),
        ("x-ticket", "ab"),
    ];
    let reply = send(&layer, request("/a/..", &fields)).await;
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    let expected = [
        "header VALUE_CHARS",
        "path PATH_DOT_SEGMENT",
        "header.x-retry INTEGER",
        "header.x-middleware-subrequest FORBIDDEN",
        "header.x-ticket PATTERN",
        "header.x-tenant-id REQUIRED",
    ];
    assert_eq!(told(&reply), expected);

    let fine = send(
        &layer,
        request("/a", &[TENANT, ("x-retry", "10"), ("x-ticket", "AB-1")]),
    )
    .await;
    assert_eq!(
        (fine.status(), body(fine).await),
        (StatusCode::OK, b"/a".to_vec())
    );
}

#[tokio::test]
async fn of_many_violations_sixteen_are_told() {
    let keys = (0..20).fold(Schema::builder(), |b, i| {
        b.key(format!("x-{i}"), Rule::integer(0..=1))
    });
    let layer = ValidateLayer::new(RuleSet::http().with_schema(keys.build().unwrap()));
    let names: Vec<_> = (0..20).map(|i| format!("x-{i}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "9")).collect();
    let reply = send(&layer, request("/a", &fields)).await;
    assert_eq!(told(&reply).len(), 16);
    let body: serde_json::Value = serde_json::from_slice(&body(reply).await).unwrap();
    assert_eq!(body["errors"].as_array().unwrap().len(), 16);
    assert_eq!(body["truncated"], true);
}

#[tokio::test]
async fn violations_reach_each_kind_of_caller_as_its_library_reads_them() {
    let layer = ValidateLayer::new(RuleSet::http().with_schema(tenants()));
    let wrong = [("x-retry", "11")];

    let reply = send(&layer, request("/a", &wrong)).await;
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&body(reply).await).unwrap();
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["errors"][0]["field"], "header.x-retry");
    assert_eq!(
        problem["errors"][0]["detail"],
        "must be a whole number from 0 to 10"
    );

    let grpc = [wrong[0], ("content-type", "application/grpc")];
    let reply = send(&layer, request("/a.B/C", &grpc)).await;
    assert_eq!(reply.status(), StatusCode::OK);
    let status = tonic::Status::from_header_map(reply.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let details = status.get_details_bad_request().unwrap().field_violations;
    let details: Vec<_> = details
        .iter()
        .map(|v| (v.field.as_str(), v.description.as_str()))
        .collect();
    let expected = [
        ("header.x-retry", "must be a whole number from 0 to 10"),
        ("header.x-tenant-id", "must be there"),
    ];
    assert_eq!(details, expected);

    let address = serve(layer).await;
    let config = ClientConfig::new(format!("http://{address}").parse().unwrap());
    let config = config.with_default_header(wrong[0].0, wrong[0].1);
    for config in [config.clone(), config.json()] {
        let unary = HandshakeServiceClient::new(HttpClient::plaintext(), config.clone());
        let error = unary.handshake(HandshakeRequest::default()).await;
        let error = error.unwrap_err();
        assert_eq!(error.code.as_str(), "invalid_argument");
        let told = violations(&error);
        let told: Vec<_> = told.iter().map(|(f, d)| (f.as_str(), d.as_str())).collect();
        assert_eq!(told, expected);

        // A stream is answered by a message that ends it.
        let registry = ServiceRegistryClient::new(HttpClient::plaintext(), config);
        let error = match registry.watch_service(WatchServiceRequest::default()).await {
            Err(error) => error,
            Ok(mut stream) => match stream.message().await {
                Err(error) => error,
                Ok(_) => stream.error().cloned().unwrap(),
            },
        };
        let told = violations(&error);
        let told: Vec<_> = told.iter().map(|(f, d)| (f.as_str(), d.as_str())).collect();
        assert_eq!(told, expected, "in a stream");
    }
}

async fn serve(layer: ValidateLayer) -> SocketAddr {
    let app = layer.layer(axum::Router::new());
    let app = axum::Router::new().fallback_service(app);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

#[tokio::test]
async fn routes_have_their_own_schema_limits_and_types() {
    let lease = tenants()
        .to_builder()
        .key("x-lease", Rule::text().required())
        .build()
        .unwrap();
    let large = Limits::http()
        .to_builder()
        .declared_body(1000)
        .build()
        .unwrap();
    let small = Limits::http()
        .to_builder()
        .declared_body(10)
        .build()
        .unwrap();
    let route = |path: &str| Route::new(path).unwrap();
    let open = Schema::builder().build().unwrap();
    let rules = RuleSet::http()
        .with_limits(small)
        .with_path(PathRules::http().with_non_canonical(NonCanonical::Rewrite))
        .with_schema(tenants())
        .with_route(
            route("/kv.v1.KV/{method}"),
            RouteRules::new().with_schema(lease),
        )
        .with_route(
            route("/files/{*path}"),
            RouteRules::new()
                .with_limits(large)
                .with_schema(open.clone()),
        )
        .with_route(
            route("/files/{*path}").with_method(Method::DELETE),
            RouteRules::new().with_schema(tenants()),
        );
    let layer = ValidateLayer::new(rules);
    let length = ("content-length", "100");
    let cases: &[(&str, Fields<'_>, &[&str])] = &[
        ("/other", &[], &["header.x-tenant-id REQUIRED"]),
        ("/other", &[TENANT], &[]),
        (
            "/other",
            &[TENANT, length],
            &["header.content-length BODY_SIZE"],
        ),
        ("/kv.v1.KV/Get", &[TENANT], &["header.x-lease REQUIRED"]),
        ("/kv.v1.KV/Get", &[TENANT, ("x-lease", "1")], &[]),
        // A spelling does not slip past the rules of its route.
        ("/kv.v1.KV/%47et", &[TENANT], &["header.x-lease REQUIRED"]),
        ("/kv.v1.KV/Get/", &[TENANT], &[]),
        ("/files/a/b", &[length], &[]),
        (
            "/files/a/b",
            &[("content-length", "1001")],
            &["header.content-length BODY_SIZE"],
        ),
        // Of a refused path, nobody knows the route: the rules for all apply.
        (
            "/files/..",
            &[],
            &["path PATH_DOT_SEGMENT", "header.x-tenant-id REQUIRED"],
        ),
    ];
    for (target, fields, expected) in cases {
        let reply = send(&layer, request(target, fields)).await;
        assert_eq!(told(&reply), *expected, "{target} {fields:?}");
    }
    let mut delete = request("/files/a", &[]);
    *delete.method_mut() = Method::DELETE;
    assert_eq!(
        told(&send(&layer, delete).await),
        ["header.x-tenant-id REQUIRED"]
    );
}

#[tokio::test]
async fn exchanged_rules_apply_to_the_next_request_of_every_clone() {
    let live = LiveRules::new(RuleSet::http());
    let layer = ValidateLayer::new(live.clone());
    let mut service = layer.layer(service_fn(echo));
    let mut clone = service.clone();
    let status = async |service: &mut _| {
        let service: &mut tower_plugin_validate::Validate<_> = service;
        let reply = service
            .ready()
            .await
            .unwrap()
            .call(request("/a", &[]))
            .await;
        let Ok(reply): Result<Reply, Infallible> = reply;
        reply.status().as_u16()
    };
    assert_eq!(
        (status(&mut service).await, status(&mut clone).await),
        (200, 200)
    );
    live.set(live.get().as_ref().clone().with_schema(tenants()));
    assert_eq!(
        (status(&mut service).await, status(&mut clone).await),
        (400, 400)
    );
    assert_eq!(status(&mut layer.layer(service_fn(echo))).await, 400);
    live.set(RuleSet::http());
    assert_eq!(
        (status(&mut service).await, status(&mut clone).await),
        (200, 200)
    );
    assert_eq!((live.counts().refused, live.counts().observed), (3, 0));
}

#[test]
fn exchanging_rules_under_load_never_mixes_two_sets() {
    // Either both fields are asked for, or none is.
    let both = Schema::builder()
        .key("x-a", Rule::text().required())
        .key("x-b", Rule::text().required());
    let both = RuleSet::http().with_schema(both.build().unwrap());
    let live = LiveRules::new(RuleSet::http());
    let service = ValidateLayer::new(live.clone()).layer(service_fn(echo));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut service = service.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                for _ in 0..2000 {
                    let Ok(reply) = runtime.block_on(service.call(request("/a", &[])));
                    assert!(matches!(told(&reply).len(), 0 | 2), "{:?}", told(&reply));
                }
            });
        }
        for i in 0..2000 {
            live.set(if i % 2 == 0 {
                both.clone()
            } else {
                RuleSet::http()
            });
        }
    });
}

#[tokio::test]
async fn what_is_observed_passes_is_counted_and_leaves_its_refusal() {
    let rules = RuleSet::http()
        .with_schema(tenants())
        .with_canonical_path(true);
    let observing = ValidateLayer::new(rules.clone().with_mode(Mode::Observe));
    let long = "v".repeat(9000);
    let cases: &[(&str, Fields<'_>, u16, &str)] = &[
        ("/a", &[TENANT], 0, ""),
        ("/a", &[], 1, "header.x-tenant-id REQUIRED"),
        (
            "/a",
            &[TENANT, ("x-a", &long), ("x-b", &long)],
            1,
            "header HEADER_VALUE_SIZE",
        ),
        ("/a/..", &[TENANT], 1, "path PATH_DOT_SEGMENT"),
        ("/%61", &[TENANT], 1, "path PATH_NOT_CANONICAL"),
        ("/a", &[TENANT, ("host", "b")], 1, "header.host DUPLICATE"),
    ];
    let mut count = 0;
    for (target, fields, observed, expected) in cases {
        let reply = send(&observing, request(target, fields)).await;
        assert_eq!(reply.status(), StatusCode::OK, "{target}");
        let found = reply
            .extensions()
            .get::<Observed>()
            .map(|o| o.rejection().clone());
        let found = found.iter().flat_map(Rejection::violations);
        let found: Vec<_> = found
            .map(|v| format!("{} {}", v.field(), v.reason()))
            .collect();
        assert_eq!(
            found.first().map_or("", |f| f),
            *expected,
            "{target} {fields:?}"
        );
        count += u64::from(*observed);
        assert_eq!(observing.rules().counts().observed, count);
        // A path that would be refused is nobody's canonical path.
        let canonical = if expected.starts_with("path") {
            "-"
        } else {
            "/a"
        };
        assert_eq!(body(reply).await, canonical.as_bytes(), "{target}");
    }
    assert_eq!(observing.rules().counts().refused, 0);

    // One part observed leaves the others enforced.
    let metadata = ValidateLayer::new(rules.with_part_mode(Part::Metadata, Mode::Observe));
    assert_eq!(send(&metadata, request("/a", &[])).await.status(), 200);
    let reply = send(&metadata, request("/a/..", &[])).await;
    assert_eq!(told(&reply), ["path PATH_DOT_SEGMENT"]);
}

#[tokio::test]
async fn a_path_in_another_spelling_is_refused_redirected_rewritten_or_observed() {
    let layer = |non_canonical| {
        let path = PathRules::http().with_non_canonical(non_canonical);
        ValidateLayer::new(RuleSet::http().with_path(path).with_canonical_path(true))
    };
    let target = "/%61/caf%c3%a9?x=%61&y";
    let reply = send(&layer(NonCanonical::Reject), request(target, &[])).await;
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);

    let redirecting = layer(NonCanonical::Redirect);
    let reply = send(&redirecting, request(target, &[])).await;
    assert_eq!(reply.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(reply.headers()["location"], "/a/caf%C3%A9?x=%61&y");
    let reply = send(&redirecting, request("/a/caf%C3%A9?x=%61&y", &[])).await;
    assert_eq!(reply.status(), StatusCode::OK);
    // Callers that follow no redirect, and requests that are wrong in another way, get none.
    let grpc = request("/%61", &[("content-type", "application/grpc")]);
    let reply = send(&redirecting, grpc).await;
    assert_eq!(reply.headers()["grpc-status"], "3");
    assert!(!reply.headers().contains_key("location"));
    let reply = send(&redirecting, request("/%61", &[("x-a", "\u{e9}")])).await;
    assert_eq!(
        (reply.status(), told(&reply)),
        (StatusCode::BAD_REQUEST, vec!["header VALUE_CHARS".into()])
    );
    // Nothing that could name another host.
    for target in [
        "//evil.example/%61",
        "/\\evil.example/%61",
        "/%2Fevil.example/%61",
    ] {
        let reply = send(&redirecting, request(target, &[])).await;
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "{target}");
    }

    let reply = send(&layer(NonCanonical::Rewrite), request(target, &[])).await;
    assert_eq!(body(reply).await, b"/a/caf%C3%A9");

    let observing = layer(NonCanonical::Observe);
    let reply = send(&observing, request(target, &[])).await;
    assert!(reply.extensions().get::<Observed>().is_some());
    assert_eq!(
        (reply.status(), body(reply).await),
        (StatusCode::OK, b"-".to_vec())
    );
    let reply = send(&observing, request("/a/%2e%2e", &[])).await;
    assert_eq!(
        reply.status(),
        StatusCode::BAD_REQUEST,
        "only the spelling is observed"
    );
}

#[derive(Debug, Deserialize, Validate)]
#[serde(rename_all = "kebab-case")]
struct Page {
    #[validate(range(min = 1, max = 100))]
    x_page_size: u32,
    x_cursor: Option<String>,
}

#[tokio::test]
async fn typed_metadata_is_parsed_once_and_found_by_handlers() {
    let typed = TypedMetadata::checked::<Page>().unwrap();
    let rules = RuleSet::http().with_route(
        Route::new("/list").unwrap(),
        RouteRules::new().with_typed(typed),
    );
    let handler = service_fn(|request: Request<()>| {
        let page = request.extensions().get::<Metadata<Page>>().cloned();
        let found = page.map(|page| format!("{} {:?}", page.x_page_size, page.x_cursor));
        // What was in the extensions before is still there.
        let before = request.extensions().get::<u8>().copied();
        ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            format!("{found:?} {before:?}"),
        ))))
    });
    let service = ValidateLayer::new(rules).layer(handler);
    let ask = async |target: &str, fields: &[(&str, &str)]| {
        let mut request = request(target, fields);
        request.extensions_mut().insert(7_u8);
        let Ok(reply) = service.clone().oneshot(request).await;
        reply
    };
    let reply = ask("/list", &[("x-page-size", "20"), ("x-cursor", "c")]).await;
    assert_eq!(body(reply).await, br#"Some("20 Some(\"c\")") Some(7)"#);
    assert_eq!(
        told(&ask("/list", &[("x-page-size", "0")]).await),
        ["header.x-page-size RANGE"]
    );
    assert_eq!(
        told(&ask("/list", &[("x-page-size", "s")]).await),
        ["header.x-page-size NUMBER"]
    );
    assert_eq!(
        told(&ask("/list", &[]).await),
        ["header.x-page-size REQUIRED"]
    );
    assert_eq!(body(ask("/other", &[]).await).await, b"None Some(7)");
}

/// Collects everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut log = self.0.lock().unwrap();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                let _ = write!(log, "{field}={value:?} ");
            },
        );
        assert!(*event.metadata().level() >= tracing::Level::DEBUG);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_secret_in_any_place_is_in_no_answer_and_no_log(
        secret in "[a-z0-9]{12}",
        protocol in prop::sample::select(vec!["application/grpc", "application/json", "application/connect+proto", "text/plain"]),
        observe: bool,
    ) {
        let schema = Schema::builder()
            .key("x-uuid", Rule::from(Format::Uuid))
            .key("x-semver", Rule::from(Format::Semver).list(2))
            .key("x-email", Rule::from(Format::Email))
            .key("x-url", Rule::url(UrlRule::https()))
            .key("x-number", Rule::integer(0..=1))
            .key("x-word", Rule::one_of(["a"]))
            .key("x-own", Rule::text().custom("OWN", "must be right", |_| false))
            .key("x-raw-bin", Rule::binary(2))
            .prefix("x-p-", Rule::forbidden())
            .build()
            .unwrap();
        let names = ["x-uuid", "x-semver", "x-email", "x-url", "x-number", "x-word", "x-own", "x-raw-bin"];
        let mut request = request(&format!("/{secret}/..%2f?{secret}"), &[("content-type", protocol)]);
        for name in names {
            request.headers_mut().insert(name, HeaderValue::from_str(&secret).unwrap());
        }
        let own_name = HeaderName::try_from(format!("x-p-{secret}")).unwrap();
        request.headers_mut().insert(own_name, HeaderValue::from_str(&secret).unwrap());

        let mode = if observe { Mode::Observe } else { Mode::Enforce };
        let layer = ValidateLayer::new(RuleSet::http().with_schema(schema).with_mode(mode));
        let log = Log::default();
        let (head, body) = tracing::subscriber::with_default(log.clone(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let reply = send(&layer, request).await;
                let head = format!("{reply:?} {:?} {:?}", reply.extensions().get::<Rejection>(), reply.extensions().get::<Observed>());
                (head, body(reply).await)
            })
        });
        let log = log.0.lock().unwrap().clone();
        prop_assert!(log.contains("PATH_SEPARATOR") || log.contains("reason="), "{}", log);
        for text in [head, String::from_utf8_lossy(&body).into_owned(), log] {
            prop_assert!(!text.contains(&secret), "{}", text);
        }
    }
}
