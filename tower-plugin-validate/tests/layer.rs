//! The layer as its users see it: what passes, what is refused, and how callers are told.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_validate::{
    CanonicalPath, Rejection, ResponseBody, RuleSet, Validate, ValidateLayer,
    limits::Limits,
    path::{NonCanonical, PathRules},
};

type Reply = Response<ResponseBody<Full<Bytes>>>;

/// Sends a request through the layer; says what the caller got and what the inner service saw.
async fn send(rules: RuleSet, request: Request<()>) -> (Reply, Option<Request<()>>) {
    let seen = Cell::new(None);
    let inner = service_fn(|request: Request<()>| {
        seen.set(Some(request));
        ready(Ok::<_, Infallible>(Response::new(Full::default())))
    });
    let reply = ValidateLayer::new(rules)
        .layer(inner)
        .oneshot(request)
        .await;
    let Ok(reply) = reply;
    (reply, seen.into_inner())
}

/// With a host, as HTTP/1.1 requires it, unless the fields or the target name one.
fn request(target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::post(target);
    let names_one = request
        .uri_ref()
        .is_some_and(|uri| uri.authority().is_some());
    if !names_one && fields.iter().all(|(name, _)| *name != "host") {
        request = request.header("host", "a.example");
    }
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request = request.header(*name, value);
    }
    request.body(()).unwrap()
}

struct Case {
    rules: RuleSet,
    target: String,
    fields: Vec<(&'static str, String)>,
    version: Version,
    status: u16,
    grpc: &'static str,
    connect: &'static str,
    reason: &'static str,
    field: &'static str,
}

fn case(target: &str, fields: &[(&'static str, &str)]) -> Case {
    Case {
        rules: RuleSet::plugin(),
        target: target.to_owned(),
        fields: fields.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(),
        version: Version::HTTP_11,
        status: 400,
        grpc: "3",
        connect: "invalid_argument",
        reason: "",
        field: "",
    }
}

impl Case {
    fn exhausted(self, status: u16) -> Self {
        Self {
            status,
            grpc: "8",
            connect: "resource_exhausted",
            ..self
        }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn found(self, reason: &'static str, field: &'static str) -> Self {
        Self {
            reason,
            field,
            ..self
        }
    }

    fn rules(self, rules: RuleSet) -> Self {
        Self { rules, ..self }
    }

    fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    fn request(&self, protocol: &[(&str, &str)]) -> Request<()> {
        let fields = self.fields.iter().map(|(n, v)| (*n, v.as_str()));
        let fields: Vec<_> = protocol.iter().copied().chain(fields).collect();
        let mut request = request(&self.target, &fields);
        *request.version_mut() = self.version;
        request
    }
}

const GRPC: &[(&str, &str)] = &[
    ("content-type", "application/grpc+proto"),
    ("te", "trailers"),
];
const CONNECT: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("connect-protocol-version", "1"),
];

fn refused() -> Vec<Case> {
    let long = |n| "v".repeat(n);
    let many: Vec<String> = (0..101).map(|i| format!("x-{i}")).collect();
    let many: Vec<(&'static str, &str)> =
        many.into_iter().map(|name| (&*name.leak(), "v")).collect();
    let wide: Vec<(&'static str, String)> = ["a", "b", "c", "d", "e"]
        .map(|name| (name, long(4000)))
        .into();
    let small_body = Limits::http()
        .to_builder()
        .declared_body(10)
        .build()
        .unwrap();
    vec![
        case("/a", &many)
            .exhausted(431)
            .found("HEADER_COUNT", "header"),
        case("/a", &[(&*long(257).leak(), "v")])
            .exhausted(431)
            .found("HEADER_NAME_SIZE", "header"),
        case("/a", &[("x-big", &long(4097))])
            .exhausted(431)
            .found("HEADER_VALUE_SIZE", "header"),
        case("/a", &[("cookie", &long(4097))])
            .exhausted(431)
            .found("HEADER_VALUE_SIZE", "header.cookie"),
        Case {
            fields: wide,
            ..case("/a", &[])
        }
        .exhausted(431)
        .found("HEADER_LIST_SIZE", "header"),
        case("/a", &[("accept", "v"); 17]).found("DUPLICATE", "header.accept"),
        case(&format!("/a?{}", long(8192)), &[])
            .status(414)
            .found("URI_SIZE", "uri"),
        case(&format!("http://{}/a", long(8192)), &[])
            .status(414)
            .found("URI_SIZE", "uri"),
        case(&"/a".repeat(129), &[])
            .status(414)
            .found("URI_SIZE", "path"),
        case(&"/a".repeat(65), &[])
            .status(414)
            .found("URI_SIZE", "path"),
        case(&format!("/{}", long(256)), &[])
            .rules(RuleSet::http())
            .status(414)
            .found("URI_SIZE", "path"),
        case(&format!("/a?{}", long(4097)), &[])
            .status(414)
            .found("URI_SIZE", "query"),
        case(&format!("/a?{}", "&".repeat(100)), &[])
            .status(414)
            .found("URI_SIZE", "query"),
        case("/a", &[("content-length", "4194305")])
            .exhausted(413)
            .found("BODY_SIZE", "header.content-length"),
        case("/a", &[("content-length", "11")])
            .rules(RuleSet::http().with_limits(small_body))
            .exhausted(413)
            .found("BODY_SIZE", "header.content-length"),
        case("/a", &[("host", "a"), ("host", "a")]).found("DUPLICATE", "header.host"),
        case(
            "/a",
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
        )
        .found("FRAMING", "header.content-length"),
        case("http://a/", &[("host", "b")]).found("FRAMING", "header.host"),
        case("/a", &[("host", "")]).found("FRAMING", "header.host"),
        case("/a", &[("host", "a:99999999")]).found("FRAMING", "header.host"),
        case("/a", &[("host", "[::1")]).found("FRAMING", "header.host"),
        case("/a", &[("connection", "close")])
            .version(Version::HTTP_2)
            .found("FRAMING", "header.connection"),
        case("/a", &[("x-note", "caf\u{e9}")]).found("VALUE_CHARS", "header"),
        case("/a", &[("x_a", "1"), ("x-a", "2")]).found("AMBIGUOUS_NAME", "header"),
        case("/..%2fa", &[]).found("PATH_DOT_SEGMENT", "path"),
        case("/a%2fb", &[]).found("PATH_SEPARATOR", "path"),
        case("/a/%2e%2e/b", &[]).found("PATH_ENCODED_DOT", "path"),
        case("/%252e", &[]).found("PATH_DOUBLE_ENCODING", "path"),
        case("/%61", &[]).found("PATH_NOT_CANONICAL", "path"),
        case("//evil.example/a", &[]).found("PATH_EMPTY_SEGMENT", "path"),
        case("/a", &[])
            .rules(RuleSet::grpc())
            .found("PATH_NOT_GRPC", "path"),
        case("*", &[]).found("PATH_NOT_ROOTED", "path"),
    ]
}

#[tokio::test]
async fn a_plain_http_caller_is_refused_with_status_reason_and_place() {
    for case in refused() {
        let (reply, inner) = send(case.rules.clone(), case.request(&[])).await;
        assert!(inner.is_none(), "{} reached the inner service", case.reason);
        assert_eq!(reply.status(), case.status, "{}", case.reason);
        assert_eq!(reply.headers()["content-type"], "application/problem+json");

        let rejection = reply.extensions().get::<Rejection>().cloned().unwrap();
        assert_eq!(rejection.reason(), case.reason);
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["reason"], case.reason);
        assert_eq!(body["code"], case.connect);
        let errors = body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{body}");
        assert_eq!(errors[0]["field"], case.field, "{body}");
        assert_eq!(errors[0]["code"], case.reason);
    }
}

#[tokio::test]
async fn a_grpc_caller_is_refused_in_trailers_only() {
    for case in refused() {
        let (reply, inner) = send(case.rules.clone(), case.request(GRPC)).await;
        assert!(inner.is_none(), "{} reached the inner service", case.reason);
        assert_eq!(reply.status(), StatusCode::OK, "{}", case.reason);
        assert_eq!(reply.headers()["content-type"], "application/grpc+proto");
        assert_eq!(reply.headers()["grpc-status"], case.grpc, "{}", case.reason);
        assert!(reply.headers().contains_key("grpc-status-details-bin"));
        let body = reply.into_body().collect().await.unwrap();
        assert!(body.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn a_connect_caller_is_refused_with_its_error_json() {
    for case in refused() {
        let (reply, inner) = send(case.rules.clone(), case.request(CONNECT)).await;
        assert!(inner.is_none(), "{} reached the inner service", case.reason);
        assert_eq!(reply.status(), case.status, "{}", case.reason);
        assert_eq!(reply.headers()["content-type"], "application/json");
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], case.connect, "{}", case.reason);
    }
}

#[tokio::test]
async fn a_request_in_order_is_forwarded_as_it_came() {
    let target = "/logger.v1.Logger/Get?a=%2e%2e%2f&b";
    for rules in [RuleSet::http(), RuleSet::grpc(), RuleSet::plugin()] {
        let (_, inner) = send(rules.clone(), request(target, GRPC)).await;
        assert!(inner.unwrap().extensions().is_empty());

        let rules = rules.with_canonical_path(true);
        let (reply, inner) = send(rules, request(target, GRPC)).await;
        assert_eq!(reply.status(), StatusCode::OK);
        let inner = inner.unwrap();
        assert_eq!(inner.uri(), target);
        let path = inner.extensions().get::<CanonicalPath>().unwrap();
        assert_eq!(path.as_str(), "/logger.v1.Logger/Get");
        assert_eq!(
            format!("{path:?}"),
            r#"CanonicalPath("/logger.v1.Logger/Get")"#
        );
        assert_eq!(inner.headers().len(), GRPC.len() + 1, "and the host");
    }
}

#[tokio::test]
async fn http_1_1_without_a_host_is_refused_unless_the_rules_say_otherwise() {
    let bare = |version| {
        let mut request = Request::get("/a").body(()).unwrap();
        *request.version_mut() = version;
        request
    };
    for rules in [RuleSet::http(), RuleSet::plugin()] {
        let (reply, inner) = send(rules.clone(), bare(Version::HTTP_11)).await;
        assert_eq!((reply.status().as_u16(), inner.is_none()), (400, true));
        let rejection = reply.extensions().get::<Rejection>().unwrap();
        let [violation] = rejection.violations() else {
            panic!("{rejection:?}")
        };
        assert_eq!(
            (violation.field(), violation.reason()),
            ("header.host", "FRAMING")
        );

        let lenient = rules.framing().with_missing_host(true);
        for (rules, version) in [
            (rules.clone().with_framing(lenient), Version::HTTP_11),
            (rules.clone(), Version::HTTP_10),
            (rules, Version::HTTP_2),
        ] {
            let (reply, _) = send(rules, bare(version)).await;
            assert_eq!(reply.status(), StatusCode::OK, "{version:?}");
        }
    }
}

#[tokio::test]
async fn what_is_rewritten_is_what_router_and_permission_checks_see() {
    let rules = RuleSet::http()
        .with_path(PathRules::http().with_non_canonical(NonCanonical::Rewrite))
        .with_canonical_path(true);
    let cases = [
        ("/%61dmin/caf%c3%a9?q=%61", "/admin/caf%C3%A9?q=%61"),
        ("http://h:80/%61", "http://h:80/a"),
        ("/a/b?q", "/a/b?q"),
    ];
    for (target, expected) in cases {
        let (reply, inner) = send(rules.clone(), request(target, &[])).await;
        assert_eq!(reply.status(), StatusCode::OK, "{target}");
        let inner = inner.unwrap();
        assert_eq!(inner.uri(), expected);
        let path = inner.extensions().get::<CanonicalPath>().unwrap();
        assert_eq!(path.as_str(), inner.uri().path());
    }
    let (reply, inner) = send(rules, request("/%61%2fb", &[])).await;
    assert_eq!(
        (reply.status(), inner.is_none()),
        (StatusCode::BAD_REQUEST, true)
    );
}

#[tokio::test]
async fn a_target_without_a_path_passes_only_as_options_asterisk() {
    let cases = [
        (Method::OPTIONS, "*", StatusCode::OK),
        (Method::GET, "*", StatusCode::BAD_REQUEST),
        (Method::CONNECT, "a.example:443", StatusCode::BAD_REQUEST),
        (Method::GET, "http://a.example", StatusCode::OK),
    ];
    for (method, target, expected) in cases {
        let mut request = request(target, &[]);
        *request.method_mut() = method;
        let rules = RuleSet::http().with_canonical_path(true);
        let (reply, inner) = send(rules, request).await;
        assert_eq!(reply.status(), expected, "{target}");
        let path = inner.and_then(|inner| inner.extensions().get::<CanonicalPath>().cloned());
        let path = path.as_ref().map(CanonicalPath::as_str);
        assert_eq!(path, (target == "http://a.example").then_some("/"));
    }
}

#[tokio::test]
async fn nothing_a_caller_sent_is_repeated() {
    const SECRET: &str = "s3cr3t";
    let named = "x-s3cr3t";
    let long = SECRET.repeat(800);
    let high = format!("{SECRET}\u{e9}");
    let requests = [
        request("/s3cr3t/../x?s3cr3t", &[]),
        request(
            "/s3cr3t/%zz",
            &[("authorization", SECRET), ("authorization", SECRET)],
        ),
        request(
            "/a",
            &[
                (named, &high),
                ("host", "s3cr3t@s3cr3t"),
                ("content-length", SECRET),
            ],
        ),
        request("/a", &[(named, &long)]),
        request("/a", &[(named, "1"), ("x_s3cr3t", "2")]),
        request(
            "/a",
            &[
                ("transfer-encoding", SECRET),
                ("x-forwarded-s3cr3t", "1"),
                ("x-forwarded-s3cr3t", "2"),
            ],
        ),
    ];
    for request in requests {
        for protocol in [&[], GRPC, CONNECT] {
            let mut request = request.clone();
            for (name, value) in protocol {
                request
                    .headers_mut()
                    .insert(*name, HeaderValue::from_static(value));
            }
            let (reply, inner) = send(RuleSet::plugin(), request).await;
            assert!(inner.is_none());
            let rejection = reply.extensions().get::<Rejection>().unwrap();
            assert!(!format!("{rejection:?}").contains(SECRET));
            assert!(!format!("{:?}", reply.headers()).contains(SECRET));
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            assert!(!String::from_utf8_lossy(&body).contains(SECRET));
        }
    }
}

#[tokio::test]
async fn violations_are_collected_in_order_up_to_sixteen() {
    let fields = [("te", "gzip"), ("upgrade", "h2c"), ("x-a", "\u{e9}")];
    let mut two = request("/a/..", &fields);
    *two.version_mut() = Version::HTTP_2;
    let (reply, _) = send(RuleSet::http(), two).await;
    let rejection = reply.extensions().get::<Rejection>().unwrap();
    let found: Vec<_> = rejection
        .violations()
        .iter()
        .map(|v| (v.field(), v.reason()))
        .collect();
    assert_eq!(
        found,
        [
            ("header.te", "FRAMING"),
            ("header.upgrade", "FRAMING"),
            ("header", "VALUE_CHARS"),
            ("path", "PATH_DOT_SEGMENT"),
        ]
    );
    assert_eq!(rejection.reason(), "FRAMING");

    let names: Vec<String> = (0..20).map(|i| format!("x-{i}")).collect();
    let fields: Vec<_> = names.iter().map(|n| (n.as_str(), "\u{e9}")).collect();
    let (reply, _) = send(RuleSet::http(), request("/a", &fields)).await;
    let rejection = reply.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.violations().len(), 16);
}

#[tokio::test]
async fn a_limit_is_reported_before_and_instead_of_anything_else() {
    let long = "v".repeat(9000);
    let fields = [("x-a", "\u{e9}"), ("host", "a@b"), ("x-b", long.as_str())];
    let (reply, _) = send(RuleSet::http(), request("/a/..", &fields)).await;
    assert_eq!(reply.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let rejection = reply.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.violations().len(), 1);
}

/// Answers with an error, and says whether it was called when it was not ready.
#[derive(Clone)]
struct Failing {
    ready: bool,
}

impl Service<Request<()>> for Failing {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.ready {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.ready, "called before it was ready");
        ready(Err("inner"))
    }
}

#[tokio::test]
async fn readiness_and_errors_are_the_inner_service_s() {
    let mut context = Context::from_waker(Waker::noop());
    let mut busy = ValidateLayer::plugin().layer(Failing { ready: false });
    assert!(busy.poll_ready(&mut context).is_pending());
    busy.get_mut().ready = true;
    assert!(busy.poll_ready(&mut context).is_ready());
    assert!(busy.get_ref().ready && busy.clone().into_inner().ready);

    let failed = ValidateLayer::http().layer(Failing { ready: true });
    let error = failed.oneshot(request("/a", &[])).await.unwrap_err();
    assert_eq!(error, "inner");
}

#[tokio::test]
async fn trailers_of_the_inner_service_pass() {
    let inner = service_fn(|_: Request<()>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Full::new(Bytes::from_static(b"message"));
        let body = body.with_trailers(ready(Some(Ok::<_, Infallible>(trailers))));
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let service = ValidateLayer::grpc().layer(inner);
    let reply = service.oneshot(request("/a.B/c", GRPC)).await.unwrap();
    let body = reply.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "message");
}

#[test]
fn layer_and_service_can_be_shared_between_threads() {
    fn is<T: Clone + Send + Sync + 'static>() {}
    is::<ValidateLayer>();
    is::<Validate<Failing>>();
    is::<CanonicalPath>();
}
