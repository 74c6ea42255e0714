//! Every refusal of every layer leaves one record, and nothing else does.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header::AUTHORIZATION};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_plugin_auth::{
    AuthError, AuthLayer, AuthorizeLayer, BearerAuthenticator, ManualClock, MemoryStore, NewToken,
    Principal, Rejection, RequireLayer, RequireSecureTransportLayer, ResponseBody, StoreError,
    SystemRng, Tokens,
    audit::{self, AuditEvent, AuditLayer, AuditSink, Outcome},
    authenticate::{Authenticator, from_async_fn, from_fn},
    authorize::{Callers, Permissions},
    token::{KeyRing, TokenKind},
    transport::SecureTransport,
};
use tower_plugin_core::{ClientIp, Code, PeerAddr};
use tower_plugin_ratelimit::{Quota, RateLimitLayer, RequestHead};
use tower_plugin_validate::{SanitizeErrorsLayer, ValidateLayer};

type Body = Full<Bytes>;

/// What a sink was given, kept.
#[derive(Clone, Debug, PartialEq)]
struct Record {
    name: &'static str,
    outcome: Outcome,
    actor: Option<(String, Option<String>)>,
    subject: Option<String>,
    action: Option<String>,
    resource: Option<String>,
    reason: Option<String>,
    request_id: Option<String>,
    client_ip: Option<String>,
    details: Vec<(&'static str, String)>,
}

#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<Record>>>);

impl Records {
    fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The one there is.
    fn one(&self) -> Record {
        let records = self.take();
        assert_eq!(records.len(), 1, "{records:?}");
        records[0].clone()
    }
}

impl AuditSink for Records {
    fn record(&self, event: &AuditEvent<'_>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.0.lock().unwrap().push(Record {
            name: event.name(),
            outcome: event.outcome(),
            actor: event
                .actor()
                .map(|actor| (actor.subject().to_owned(), owned(actor.token_id()))),
            subject: event.subject().map(|party| party.subject().to_owned()),
            action: owned(event.action()),
            resource: owned(event.resource()),
            reason: owned(event.reason()),
            request_id: owned(event.request_id()),
            client_ip: event.client_ip().map(|ip| ip.to_string()),
            details: event
                .details()
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        });
    }
}

struct Rig {
    records: Records,
    tokens: Tokens<MemoryStore>,
    clock: ManualClock,
}

type Stack = BoxCloneService<Request<Body>, Response<()>, Infallible>;

impl Rig {
    fn new() -> Self {
        let (records, clock) = (Records::default(), ManualClock::new());
        let keys = KeyRing::random(&SystemRng).unwrap();
        let tokens = Tokens::builder(MemoryStore::new(100).unwrap(), keys)
            .with_clock(clock.clone())
            .with_observer(audit::tokens(records.clone()))
            .build()
            .unwrap();
        Self {
            records,
            tokens,
            clock,
        }
    }

    fn audit(&self) -> AuditLayer {
        AuditLayer::new(self.records.clone())
    }

    /// As the documentation of the crate has it, outermost first.
    fn stack(&self, layer: AuditLayer) -> Stack {
        let by_token = BearerAuthenticator::new(self.tokens.clone());
        self.stack_of(layer, by_token)
    }

    fn stack_of<A>(&self, layer: AuditLayer, authenticator: A) -> Stack
    where
        A: Authenticator<Future: Send> + Clone + Send + Sync + 'static,
    {
        // The hasty share a quota; the others have one each.
        let by = |header: &'static str| {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            move |request: &RequestHead<'_>| match request.headers.contains_key(header) {
                true => Some((true, 0)),
                false => Some((false, NEXT.fetch_add(1, Relaxed))),
            }
        };
        let (by_address, by_principal) = (by("x-hasty"), by("x-hasty-principal"));
        let once: Quota = "1/h".parse().unwrap();
        let permissions =
            Permissions::new().permit(Callers::any(), "GET|POST /items/*".parse().unwrap());
        let service = ServiceBuilder::new()
            .layer(layer)
            .layer(SanitizeErrorsLayer::new())
            .layer(ValidateLayer::http())
            .layer(RateLimitLayer::new(once, by_address))
            .layer(AuthLayer::new(authenticator))
            .layer(RateLimitLayer::new(once, by_principal))
            .layer(AuthorizeLayer::new(permissions))
            .service(service_fn(handler));
        BoxCloneService::new(service.map_response(|response| response.map(drop)))
    }

    async fn bearer(&self) -> (HeaderValue, String) {
        let new = NewToken::runtime(&"cache".parse().unwrap());
        let issued = self.tokens.issue(new).await.unwrap();
        self.records.take();
        (
            issued.token().header_value(),
            issued.token().id().to_string(),
        )
    }
}

async fn handler(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let status = match request.uri().path() {
        "/items/gone" => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    Ok(response)
}

fn request(uri: &str) -> http::request::Builder {
    let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    Request::get(uri)
        .header("host", "a.example")
        .header("x-request-id", "4f6c-2a1e")
        .extension(PeerAddr(peer))
}

async fn send(stack: &Stack, request: http::request::Builder) -> StatusCode {
    let request = request.body(Body::default()).unwrap();
    stack.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn every_layer_s_refusal_is_recorded_with_its_exact_reason() {
    let rig = Rig::new();
    let stack = rig.stack(rig.audit());
    let (bearer, id) = rig.bearer().await;
    let actor = {
        let text = bearer
            .to_str()
            .unwrap()
            .trim_start_matches("Bearer ")
            .to_owned();
        let verified = rig
            .tokens
            .verify(TokenKind::Runtime, text.as_bytes())
            .await
            .unwrap();
        Some((verified.principal().subject().to_owned(), Some(id)))
    };
    let known = |uri: &str| request(uri).header(AUTHORIZATION, bearer.clone());

    struct Case {
        request: http::request::Builder,
        status: u16,
        name: &'static str,
        reason: &'static str,
        cause: Option<&'static str>,
        is_known: bool,
    }
    let hasty = || request("/items/1").header("x-hasty", "1");
    let hasty_principal = || known("/items/1").header("x-hasty-principal", "1");
    for spent in [hasty(), hasty_principal()] {
        send(&stack, spent).await;
    }
    rig.records.take();
    let case = |request, status, name, reason| Case {
        request,
        status,
        name,
        reason,
        cause: None,
        is_known: false,
    };
    let of_token = |text: &str, cause| Case {
        cause: Some(cause),
        ..case(
            request("/items/1").header(AUTHORIZATION, format!("Bearer {text}")),
            401,
            "authn_login_fail",
            "INVALID_TOKEN",
        )
    };
    let unknown = tower_plugin_auth::token::mint(
        TokenKind::Runtime,
        &KeyRing::random(&SystemRng).unwrap(),
        &SystemRng,
    );
    let unknown = unknown.unwrap();
    let cases = [
        case(
            request("/%2e%2e/admin"),
            400,
            "input_validation_fail",
            "PATH_ENCODED_DOT",
        ),
        case(hasty(), 429, "excess_rate_limit_exceeded", "RATE_LIMITED"),
        case(
            request("/items/1"),
            401,
            "authn_login_fail",
            "MISSING_CREDENTIAL",
        ),
        of_token("nonsense", "MALFORMED"),
        of_token(unknown.token().expose(), "UNKNOWN"),
        case(
            known("/items/1")
                .header("x-plugin-runtime-id", "a")
                .header("x-plugin-runtime-id", "b"),
            400,
            "authn_login_fail",
            "INVALID_REQUEST",
        ),
        Case {
            is_known: true,
            ..case(
                hasty_principal(),
                429,
                "excess_rate_limit_exceeded",
                "RATE_LIMITED",
            )
        },
        Case {
            is_known: true,
            ..case(
                known("/admin?key=hunter2"),
                403,
                "authz_fail",
                "INSUFFICIENT_SCOPE",
            )
        },
    ];
    for case in cases {
        let path = case.request.uri_ref().unwrap().path().to_owned();
        assert_eq!(send(&stack, case.request).await, case.status, "{path}");
        let record = rig.records.one();
        assert_eq!(
            (record.name, record.outcome),
            (case.name, Outcome::Denied),
            "{path}"
        );
        assert_eq!(record.reason.as_deref(), Some(case.reason), "{path}");
        let cause = case.cause.map(|cause| ("cause", cause.to_owned()));
        if let Some(cause) = cause {
            assert_eq!(record.details, [cause], "{path}");
        }
        assert_eq!(
            record.actor,
            if case.is_known { actor.clone() } else { None },
            "{path}"
        );
        assert_eq!(record.action.as_deref(), Some("GET"));
        assert_eq!(record.resource, Some(path));
        assert_eq!(record.request_id.as_deref(), Some("4f6c-2a1e"));
        assert_eq!(record.client_ip.as_deref(), Some("192.0.2.7"));
    }

    assert_eq!(send(&stack, known("/items/1")).await, 200);
    assert_eq!(send(&stack, known("/items/gone")).await, 404);
    assert_eq!(
        rig.records.take(),
        [],
        "nobody refused it, nobody asked for it"
    );
}

#[tokio::test]
async fn a_token_that_lives_no_longer_is_recorded_as_what_it_is() {
    let rig = Rig::new();
    let stack = rig.stack(rig.audit());
    let (bearer, id) = rig.bearer().await;
    let known = || request("/items/1").header(AUTHORIZATION, bearer.clone());

    let text = bearer
        .to_str()
        .unwrap()
        .trim_start_matches("Bearer ")
        .to_owned();
    let verified = rig
        .tokens
        .verify(TokenKind::Runtime, text.as_bytes())
        .await
        .unwrap();
    let successor = rig.tokens.rotate(&verified.record().id()).await.unwrap();
    let rotated = rig.records.one();
    assert_eq!(rotated.name, "authn_token_created");
    assert_eq!(rotated.action.as_deref(), Some("rotate"));
    assert!(
        rotated.details.contains(&("predecessor", id.clone())),
        "{rotated:?}"
    );
    assert_eq!(
        rotated.subject.as_deref(),
        Some(verified.principal().subject())
    );

    // Long after: a thief, or a mistake.
    rig.clock.advance(Duration::from_secs(60));
    let next = request("/items/1").header(AUTHORIZATION, successor.token().header_value());
    assert_eq!(send(&stack, next).await, 200);
    rig.clock.advance(Duration::from_secs(60));
    assert_eq!(send(&stack, known()).await, 401);
    let records = rig.records.take();
    let names: Vec<_> = records.iter().map(|record| record.name).collect();
    assert!(names.contains(&"authn_token_reuse"), "{names:?}");
    let refusal = records.last().unwrap();
    assert_eq!(refusal.details, [("cause", "REUSED".to_owned())]);
    assert_eq!(refusal.client_ip.as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn what_happens_to_tokens_is_recorded() {
    let rig = Rig::new();
    let new = NewToken::runtime(&"cache".parse().unwrap());
    let issued = rig.tokens.issue(new).await.unwrap();
    let id = issued.token().id().to_string();
    let record = rig.records.one();
    assert_eq!(
        (record.name, record.resource),
        ("authn_token_created", Some(id.clone()))
    );
    assert_eq!(
        record.subject.as_deref(),
        Some(issued.principal().subject())
    );
    assert_eq!(record.actor, None, "who asked for it is not known there");

    rig.tokens.revoke(&issued.token().id()).await.unwrap();
    let record = rig.records.one();
    assert_eq!(
        (record.name, record.resource),
        ("authn_token_revoked", Some(id))
    );
    assert!(record.details.contains(&("count", "1".to_owned())));

    let owner = Principal::new("test", "cache-1");
    let new = NewToken::for_principal(TokenKind::Grant, owner);
    rig.tokens.issue(new).await.unwrap();
    rig.records.take();
    let revoked = rig.tokens.revoke_subject("test", "cache-1").await;
    assert_eq!(revoked.unwrap(), 1);
    let record = rig.records.one();
    assert_eq!(record.subject.as_deref(), Some("cache-1"));
    assert!(record.details.contains(&("which", "subject".to_owned())));
}

#[tokio::test]
async fn nobody_can_tell_is_an_error_and_not_a_denial() {
    let rig = Rig::new();
    let down = from_fn(|_| Err(AuthError::Unavailable(StoreError::unavailable("refused"))));
    let stack = rig.stack_of(rig.audit(), down);
    assert_eq!(send(&stack, request("/items/1")).await, 503);
    let record = rig.records.one();
    assert_eq!(
        (record.name, record.outcome),
        ("authn_login_fail", Outcome::Error)
    );
    assert_eq!(record.reason.as_deref(), Some("AUTHENTICATION_UNAVAILABLE"));
}

/// Also where it takes time to find out who calls.
#[tokio::test]
async fn what_is_let_through_is_recorded_where_asked() {
    let rig = Rig::new();
    let slowly = from_async_fn(|request: &RequestHead<'_>| {
        let known = request.headers.contains_key("x-known");
        async move {
            tokio::task::yield_now().await;
            match known {
                true => Ok(Principal::new("test", "a")),
                false => Err(AuthError::Missing),
            }
        }
    });
    let layer = rig
        .audit()
        .with_admitted(|parts| parts.uri.path() != "/items/quiet");
    let stack = rig.stack_of(layer, slowly);
    let known = |uri| request(uri).header("x-known", "1");
    assert_eq!(send(&stack, known("/items/gone")).await, 404);
    let record = rig.records.one();
    assert_eq!(
        (record.name, record.outcome),
        ("authn_login_success", Outcome::Success)
    );
    assert_eq!(record.actor, Some(("a".to_owned(), None)));
    assert_eq!(record.details, [("status", "404".to_owned())]);

    assert_eq!(send(&stack, known("/items/quiet")).await, 200);
    assert_eq!(rig.records.take(), []);
    assert_eq!(send(&stack, known("/admin")).await, 403);
    assert_eq!(rig.records.one().actor, Some(("a".to_owned(), None)));

    let open = rig
        .audit()
        .with_admitted(|_| true)
        .layer(service_fn(handler));
    let anonymous = request("/").body(Body::default()).unwrap();
    open.oneshot(anonymous).await.unwrap();
    let record = rig.records.one();
    assert_eq!((record.name, record.actor), ("request_admitted", None));
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_and_is_recorded_where_asked() {
    let rig = Rig::new();
    let fails = service_fn(async |_: Request<Body>| Err::<Response<Body>, _>("broken"));
    for (asked, expected) in [(false, 0), (true, 1)] {
        let layer = rig.audit().with_admitted(move |_| asked);
        let request = request("/").body(Body::default()).unwrap();
        assert_eq!(
            layer.layer(fails).oneshot(request).await.unwrap_err(),
            "broken"
        );
        let records = rig.records.take();
        assert_eq!(records.len(), expected);
        assert!(
            records
                .iter()
                .all(|record| record.outcome == Outcome::Error)
        );
    }
}

#[tokio::test]
async fn whoever_was_known_without_our_help_is_named_too() {
    let rig = Rig::new();
    let layer = ServiceBuilder::new()
        .layer(rig.audit())
        .layer(RequireLayer::when(|_, _| false));
    let mut request = request("/").body(Body::default()).unwrap();
    request
        .extensions_mut()
        .insert(Principal::new("mtls", "spiffe://a/b"));
    layer
        .service(service_fn(handler))
        .oneshot(request)
        .await
        .unwrap();
    let record = rig.records.one();
    assert_eq!(record.actor, Some(("spiffe://a/b".to_owned(), None)));
}

/// F61: the reference logged paths as they came, and one of them forged a line.
#[tokio::test]
async fn f61_whatever_a_caller_sends_a_record_is_one_line_of_ascii() {
    let rig = Rig::new();
    let stack = rig.stack(rig.audit());
    let long = format!("/{}", "a".repeat(2_000));
    for uri in ["/a%0d%0aforged", "/\u{e9}\u{202e}", long.as_str()] {
        let mut request = request(uri).body(Body::default()).unwrap();
        let odd = HeaderValue::from_bytes(b"a\xff").unwrap();
        request.headers_mut().insert("x-request-id", odd);
        stack.clone().oneshot(request).await.unwrap();
        let record = rig.records.one();
        let resource = record.resource.unwrap();
        assert!(
            resource.bytes().all(|byte| byte.is_ascii_graphic()),
            "{resource}"
        );
        assert!(resource.len() <= 256 + 3, "{resource}");
        assert_eq!(record.request_id, None);
    }
}

#[tokio::test]
async fn the_address_is_the_one_that_trusted_proxies_name() {
    let rig = Rig::new();
    let behind = ClientIp::peer().with_trusted_proxies(["192.0.2.0/24".parse().unwrap()]);
    let service = ServiceBuilder::new()
        .layer(rig.audit().with_client_ip(behind))
        .layer(RequireSecureTransportLayer::new(SecureTransport::Enforce))
        .service(service_fn(handler));
    let request = request("/").header("x-forwarded-for", "6.6.6.6, 203.0.113.9");
    service
        .oneshot(request.body(Body::default()).unwrap())
        .await
        .unwrap();
    let record = rig.records.one();
    assert_eq!(record.client_ip.as_deref(), Some("203.0.113.9"));
    assert_eq!(record.name, "request_refused");
    assert_eq!(record.reason.as_deref(), Some("INSECURE_TRANSPORT"));
}

/// Whatever the code, it has a name and an outcome that is not success.
#[tokio::test]
async fn every_code_is_recorded() {
    let rig = Rig::new();
    for code in Code::ALL {
        let refuses = service_fn(move |request: Request<Body>| {
            let rejection = Rejection::new(code, "GOLDEN", "no");
            let response: Response<ResponseBody<Body>> = rejection.into_response(request.headers());
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let request = request("/").body(Body::default()).unwrap();
        rig.audit().layer(refuses).oneshot(request).await.unwrap();
        let record = rig.records.one();
        assert_ne!(record.outcome, Outcome::Success, "{code:?}");
        assert_eq!(record.reason.as_deref(), Some("GOLDEN"));
    }
}

/// The head is of static text here, as a server's is of one buffer: references to it are counted.
#[test]
fn a_request_that_is_not_recorded_allocates_nothing_more() {
    let rig = Rig::new();
    let measure = |layer: Option<AuditLayer>| {
        let authenticated = AuthLayer::new(from_fn(|_| {
            static PRINCIPAL: OnceLock<Principal> = OnceLock::new();
            let principal = PRINCIPAL.get_or_init(|| Principal::new("test", "a"));
            Ok(principal.clone())
        }));
        let hello = service_fn(|_: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::default())))
        });
        let mut service = tower::util::option_layer(layer).layer(authenticated.layer(hello));
        let requests: Vec<_> = (0..101)
            .map(|_| {
                let mut request = Request::new(Body::default());
                *request.uri_mut() = Uri::from_static("/items/1");
                let id = HeaderValue::from_static("4f6c-2a1e");
                request.headers_mut().insert("x-request-id", id);
                // So that the map has room for more, as a server's has.
                request.extensions_mut().insert(1_u8);
                request.extensions_mut().insert(1_u16);
                request.extensions_mut().insert(1_u32);
                request.extensions_mut().insert(1_u64);
                request
            })
            .collect();
        let mut requests = requests.into_iter();
        let mut call = |request| {
            let mut future = pin!(service.call(request));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_ready());
        };
        call(requests.next().unwrap());
        allocation_counter::measure(|| requests.by_ref().for_each(&mut call)).count_total
    };
    let without = measure(None);
    assert_eq!(measure(Some(rig.audit())), without);
    assert_eq!(rig.records.take(), []);
}
