//! What Tower asks of every middleware, asked of every layer.

use std::{
    fs,
    future::poll_fn,
    path::Path,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use http::{
    HeaderValue, Request, Response,
    header::{AUTHORIZATION, CONTENT_LENGTH},
};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, layer::util::Stack, util::MapRequestLayer};
use tower_plugin_auth::{
    Answer, AuthError, AuthLayer, AuthorizeLayer, BearerAuthenticator, Capability,
    CapabilityBroker, CapabilityLayer, GrantRequest, InsertError, ManualClock, MemoryStore,
    NewToken, Principal, RefreshHintLayer, RequireLayer, RequireSecureTransportLayer, StoreError,
    SystemRng, TlsInfo, TokenStore, Tokens,
    audit::{AuditEvent, AuditLayer},
    authenticate::{Deadline, FirstOf, from_async_fn},
    authorize::{AllowAll, Callers, Permissions},
    client::{BearerLayer, BearerToken, Origin},
    grant::{GrantRecord, Uses},
    store::{
        Counted, Found, FoundGrant, GrantRevocation, GrantStore, InsertGrantError, List,
        MemoryGrantStore, Revocation,
    },
    token::{EXPIRES_AT, KeyRing, Record, TokenId},
    transport::{ForwardedProto, SecureTransport},
};
use tower_plugin_core::{PeerAddr, Rejection};
use tower_plugin_ratelimit::{
    Decision, KeyHasher, Limiter, MemoryLimiter, Operation, Policy, Quota, RateLimitLayer,
    RequestHead, Unavailable, lookup::PolicyLookupLayer,
};
use tower_plugin_tests::{Account, Broken, Chunks, Probe};
use tower_plugin_validate::{
    BodyGuardLayer, SanitizeErrorsLayer, ValidateLayer, body::GuardedBody,
};

#[tokio::test]
async fn rate_limit_keeps_the_contract() {
    let layer = RateLimitLayer::new(one_an_hour(), by_header);
    contract(layer, |_| (), limited).await;
}

#[tokio::test]
async fn rate_limit_that_has_to_ask_keeps_the_contract() {
    let limiter = Slow(MemoryLimiter::default());
    let layer = RateLimitLayer::with_limiter(limiter, one_an_hour(), by_header);
    contract(layer, |_| (), limited).await;
}

#[tokio::test]
async fn policy_lookup_keeps_the_contract() {
    let layer = PolicyLookupLayer::new(
        |request: &RequestHead<'_>| {
            let limited = request.headers.contains_key("x-limited");
            limited.then(|| "somebody".into())
        },
        async |_| Err::<Option<Policy>, _>(Broken(3)),
        Duration::from_secs(1),
        10,
    );
    contract(layer.unwrap(), |_| (), limited).await;
}

#[tokio::test]
async fn validate_keeps_the_contract() {
    contract(
        ValidateLayer::http(),
        |request| {
            // HTTP/1.1 requires it.
            let host = HeaderValue::from_static("a.example");
            request.headers_mut().insert(http::header::HOST, host);
        },
        |request| *request.uri_mut() = "/%2e%2e/admin".parse().unwrap(),
    )
    .await;
}

#[tokio::test]
async fn body_guard_keeps_the_contract() {
    // The probe takes one type of body; what the guard does to bodies is seen in `body_guard.rs`.
    let unguarded: fn(Request<GuardedBody<Chunks>>) -> Request<Chunks> =
        |request| request.map(GuardedBody::into_inner);
    contract(
        Stack::new(MapRequestLayer::new(unguarded), BodyGuardLayer::http()),
        |_| (),
        |request| {
            let length = HeaderValue::from_static("9999999");
            request.headers_mut().insert(CONTENT_LENGTH, length);
        },
    )
    .await;
}

/// It refuses nothing itself; what a layer inside it refuses, it lets pass.
#[tokio::test]
async fn sanitize_errors_keeps_the_contract() {
    let layer = Stack::new(RequireLayer::new(), SanitizeErrorsLayer::new());
    let admitted = |request: &mut Request<Chunks>| {
        request.extensions_mut().insert(Principal::new("test", "a"));
    };
    contract(layer, admitted, without_credential).await;
}

/// It refuses nothing itself; what a layer inside it refuses, it lets pass.
#[tokio::test]
async fn refresh_hint_keeps_the_contract() {
    let layer = Stack::new(RequireLayer::new(), RefreshHintLayer::new());
    // Long ago, so that each of his responses has a hint.
    let about_to_expire = |request: &mut Request<Chunks>| {
        let caller = Principal::new("test", "a").with_attribute(EXPIRES_AT, "1");
        request.extensions_mut().insert(caller);
    };
    contract(layer, about_to_expire, without_credential).await;
}

/// It refuses nothing itself; what a layer inside it refuses, it lets pass.
#[tokio::test]
async fn audit_keeps_the_contract() {
    let (tokens, header) = issued(MemoryStore::new(10).unwrap()).await;
    let audit = AuditLayer::new(|_: &AuditEvent<'_>| ()).with_admitted(|_| true);
    let auth = AuthLayer::new(BearerAuthenticator::new(tokens));
    contract(Stack::new(auth, audit), bearer(header), without_credential).await;
}

#[tokio::test]
async fn audit_around_auth_that_has_to_ask_keeps_the_contract() {
    let (tokens, header) = issued(Slow(MemoryStore::new(10).unwrap())).await;
    let audit = AuditLayer::new(|_: &AuditEvent<'_>| ());
    let auth = AuthLayer::new(BearerAuthenticator::new(tokens));
    contract(Stack::new(auth, audit), bearer(header), without_credential).await;
}

#[tokio::test]
async fn auth_keeps_the_contract() {
    let (tokens, header) = issued(MemoryStore::new(10).unwrap()).await;
    let layer = AuthLayer::new(BearerAuthenticator::new(tokens));
    contract(layer, bearer(header), without_credential).await;
}

#[tokio::test]
async fn auth_that_has_to_ask_keeps_the_contract() {
    let (tokens, header) = issued(Slow(MemoryStore::new(10).unwrap())).await;
    let layer = AuthLayer::new(BearerAuthenticator::new(tokens));
    let wrong_token = |request: &mut Request<Chunks>| {
        // Of the right form, so that the store is asked.
        let other = tower_plugin_auth::token::mint(
            tower_plugin_auth::token::TokenKind::Runtime,
            &KeyRing::random(&SystemRng).unwrap(),
            &SystemRng,
        );
        let other = other.unwrap();
        request
            .headers_mut()
            .insert(AUTHORIZATION, other.token().header_value());
    };
    contract(layer, bearer(header), wrong_token).await;
}

#[tokio::test]
async fn require_keeps_the_contract() {
    let admitted = |request: &mut Request<Chunks>| {
        request.extensions_mut().insert(Principal::new("test", "a"));
    };
    contract(RequireLayer::new(), admitted, without_credential).await;
}

#[tokio::test]
async fn auth_by_one_of_several_keeps_the_contract() {
    let (tokens, header) = issued(MemoryStore::new(10).unwrap()).await;
    let absent = from_async_fn(|_| later(Err(AuthError::Missing)));
    let several = FirstOf::builder()
        .or(absent)
        .or(BearerAuthenticator::new(tokens));
    let layer = AuthLayer::new(several.build().unwrap());
    contract(layer, bearer(header), without_credential).await;
}

#[tokio::test]
async fn auth_with_a_deadline_keeps_the_contract() {
    let key = |request: &RequestHead<'_>| request.headers.contains_key("x-key");
    let asks = from_async_fn(move |request| {
        let known = key(request).then(|| Principal::new("test", "a"));
        later(known.ok_or(AuthError::Missing))
    });
    let layer = AuthLayer::new(Deadline::new(asks, Duration::from_secs(60)).unwrap());
    contract(layer, with_header("x-key", "7"), without_credential).await;
}

#[tokio::test]
async fn optional_auth_keeps_the_contract() {
    let (tokens, _) = issued(MemoryStore::new(10).unwrap()).await;
    let layer = AuthLayer::optional(BearerAuthenticator::new(tokens));
    contract(layer, |_| (), with_header("authorization", "Bearer no")).await;
}

#[tokio::test]
async fn authorize_by_permissions_keeps_the_contract() {
    let permissions = Permissions::new().permit(Callers::kind("test"), "GET /".parse().unwrap());
    let known = |request: &mut Request<Chunks>| {
        request.extensions_mut().insert(Principal::new("test", "a"));
    };
    let elsewhere = move |request: &mut Request<Chunks>| {
        known(request);
        *request.uri_mut() = "/elsewhere".parse().unwrap();
    };
    contract(AuthorizeLayer::new(permissions), known, elsewhere).await;
}

#[tokio::test]
async fn authorize_that_allows_all_keeps_the_contract() {
    let known = |request: &mut Request<Chunks>| {
        request.extensions_mut().insert(Principal::new("test", "a"));
    };
    contract(AuthorizeLayer::new(AllowAll), known, without_credential).await;
}

#[tokio::test]
async fn secure_transport_keeps_the_contract() {
    let layer = RequireSecureTransportLayer::new(SecureTransport::Enforce);
    let encrypted = |request: &mut Request<Chunks>| {
        request.extensions_mut().insert(TlsInfo::new());
    };
    contract(layer, encrypted, |_| ()).await;
}

#[tokio::test]
async fn secure_transport_behind_a_proxy_keeps_the_contract() {
    let layer = RequireSecureTransportLayer::new(SecureTransport::Enforce).with_trusted_proxies(
        ["10.0.0.0/8".parse().unwrap()],
        ForwardedProto::XForwardedProto,
    );
    let behind = |proto: &'static str| {
        move |request: &mut Request<Chunks>| {
            let peer = PeerAddr("10.0.0.1:1".parse().unwrap());
            request.extensions_mut().insert(peer);
            with_header("x-forwarded-proto", proto)(request);
        }
    };
    contract(layer, behind("https"), behind("http")).await;
}

#[tokio::test]
async fn the_client_s_bearer_keeps_the_contract() {
    let none = async || Err::<BearerToken, _>("the endpoint is down");
    let layer = BearerLayer::new(none, Origin::new("https://a.example").unwrap());
    let elsewhere = |request: &mut Request<Chunks>| {
        *request.uri_mut() = "https://b.example/".parse().unwrap();
    };
    contract(layer, elsewhere, |_| ()).await;
}

/// Every request waits for a token of its own, or for the news that there is none.
#[tokio::test]
async fn the_client_s_bearer_that_has_to_ask_keeps_the_contract() {
    let is_down = Arc::new(AtomicBool::new(false));
    let clock = ManualClock::new();
    let source = {
        let is_down = Arc::clone(&is_down);
        move || {
            let token = match is_down.load(SeqCst) {
                true => Err("the endpoint is down"),
                false => Ok(BearerToken::new("token", Duration::ZERO).unwrap()),
            };
            later(token)
        }
    };
    let layer = BearerLayer::new(source, Origin::new("https://a.example").unwrap());
    let told = |down: bool| {
        let (is_down, clock) = (Arc::clone(&is_down), clock.clone());
        move |_: &mut Request<Chunks>| {
            is_down.store(down, SeqCst);
            // Past the pause after a failure.
            clock.advance(Duration::from_secs(60));
        }
    };
    contract(layer.with_clock(clock.clone()), told(false), told(true)).await;
}

#[tokio::test]
async fn capability_keeps_the_contract() {
    let (layer, header) = granting(MemoryGrantStore::new(10).unwrap()).await;
    contract(layer, bearer(header), without_credential).await;
}

/// Both to look the grant up and to count its use.
#[tokio::test]
async fn capability_that_has_to_ask_keeps_the_contract() {
    let (layer, header) = granting(Slow(MemoryGrantStore::new(10).unwrap())).await;
    // Of the right form, so that the store is asked.
    let (_, other) = granting(MemoryGrantStore::new(10).unwrap()).await;
    contract(layer, bearer(header), bearer(other)).await;
}

/// Here, or where a layer has more to keep than this.
#[test]
fn every_layer_is_held_to_the_contract() {
    let tests = [
        include_str!("contract.rs"),
        include_str!("concurrency/contract.rs"),
        include_str!("../../tower-plugin-ratelimit/tests/client_layers/contract.rs"),
    ];
    let mut layers = Vec::new();
    for name in ["auth", "ratelimit", "validate"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        find_layers(
            &source.join(format!("tower-plugin-{name}/src")),
            &mut layers,
        );
    }
    for layer in &layers {
        let made = [format!("{layer}::"), format!("{layer}<")];
        let is_held = |test: &&str| made.iter().any(|made| test.contains(made));
        assert!(tests.iter().any(is_held), "{layer}");
    }
    assert!(layers.len() > 15, "{layers:?}");
}

/// The names of the types that are a `Layer`.
fn find_layers(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_layers(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            for after in text.split(" Layer<S> for ").skip(1) {
                let name = after.split(|c: char| !c.is_ascii_alphanumeric());
                found.extend(name.take(1).map(str::to_owned));
            }
        }
    }
}

/// Runs one layer through it all. `admit` and `refuse` make a bare request one that passes or does
/// not; a request to be refused may pass once.
async fn contract<L, S, B>(
    layer: L,
    admit: impl Fn(&mut Request<Chunks>),
    refuse: impl Fn(&mut Request<Chunks>),
) where
    L: Layer<Probe, Service = S> + Clone + Send + Sync,
    S: Service<Request<Chunks>, Response = Response<B>, Error = Broken> + Clone + Send + Sync,
    S::Future: Send,
    B: Body + Send,
    B::Error: std::fmt::Debug,
{
    let with = |prepare: &dyn Fn(&mut Request<Chunks>), canary: &Arc<()>| {
        let mut request = Request::new(Chunks::new(canary));
        request.extensions_mut().insert(Arc::clone(canary));
        prepare(&mut request);
        request
    };
    let canary = Arc::new(());
    let admitted = || with(&admit, &canary);
    let refused = || with(&refuse, &canary);
    let probe = Probe::default();
    let account = probe.account();
    let mut service = layer.layer(probe);

    not_ready_means_not_ready(&account, &mut service).await;
    the_ready_service_is_called_and_streams_pass(&account, &mut service, admitted()).await;

    // The first may pass; a clone knows that it did.
    let _ = service.clone().oneshot(refused()).await.unwrap();
    denied_leaves_the_inner_service_alone(&account, &mut service.clone(), refused()).await;
    denied_leaves_the_inner_service_alone(&account, &mut service, refused()).await;

    inner_errors_pass_unchanged(&account, &mut service, admitted()).await;
    a_dropped_future_leaks_nothing(&mut service, &canary, admitted, refused).await;
    assert_eq!(
        account.calls_unready.load(SeqCst),
        0,
        "called when not ready"
    );
}

async fn not_ready_means_not_ready<S>(account: &Account, service: &mut S)
where
    S: Service<Request<Chunks>, Error = Broken>,
{
    let mut cx = Context::from_waker(Waker::noop());
    account.is_busy.store(true, SeqCst);
    assert!(service.poll_ready(&mut cx).is_pending());
    account.is_busy.store(false, SeqCst);
    assert!(service.poll_ready(&mut cx).is_ready());

    account.fails_to_be_ready.store(true, SeqCst);
    let failed = poll_fn(|cx| service.poll_ready(cx)).await;
    assert_eq!(failed, Err(Broken(1)));
    account.fails_to_be_ready.store(false, SeqCst);
}

async fn the_ready_service_is_called_and_streams_pass<S, B>(
    account: &Account,
    service: &mut S,
    request: Request<Chunks>,
) where
    S: Service<Request<Chunks>, Response = Response<B>, Error = Broken>,
    B: Body,
    B::Error: std::fmt::Debug,
{
    let before = account.calls();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(account.calls(), before + 1);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-answered-by"], "inner");

    let mut body = pin!(response.into_body());
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.unwrap();
        frames.push(if frame.is_trailers() {
            "trailers"
        } else {
            "data"
        });
    }
    assert_eq!(frames, ["data", "data", "trailers"], "frame by frame");
}

async fn denied_leaves_the_inner_service_alone<S, B>(
    account: &Account,
    service: &mut S,
    request: Request<Chunks>,
) where
    S: Service<Request<Chunks>, Response = Response<B>, Error = Broken>,
{
    let before = account.calls();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(account.calls(), before);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(response.status(), rejection.status());
    assert!(!response.status().is_success());
}

async fn inner_errors_pass_unchanged<S>(
    account: &Account,
    service: &mut S,
    request: Request<Chunks>,
) where
    S: Service<Request<Chunks>, Error = Broken>,
{
    account.fails.store(true, SeqCst);
    let failed = service.ready().await.unwrap().call(request).await;
    assert_eq!(failed.err(), Some(Broken(2)));
    account.fails.store(false, SeqCst);
}

async fn a_dropped_future_leaks_nothing<S, B>(
    service: &mut S,
    canary: &Arc<()>,
    admitted: impl Fn() -> Request<Chunks>,
    refused: impl Fn() -> Request<Chunks>,
) where
    S: Service<Request<Chunks>, Response = Response<B>, Error = Broken>,
{
    let requests: [&dyn Fn() -> Request<Chunks>; 2] = [&admitted, &refused];
    for request in requests {
        for polls in 0..3 {
            let future = service.ready().await.unwrap().call(request());
            {
                let mut future = pin!(future);
                for _ in 0..polls {
                    let mut cx = Context::from_waker(Waker::noop());
                    if future.as_mut().poll(&mut cx).is_ready() {
                        break;
                    }
                }
            }
            assert_eq!(Arc::strong_count(canary), 1, "dropped after {polls} polls");
        }
    }
}

/// A request to be limited says so in a header; the others each have a quota of their own.
fn by_header(request: &RequestHead<'_>) -> Option<(bool, usize)> {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    match request.headers.contains_key("x-limited") {
        true => Some((true, 0)),
        false => Some((false, NEXT.fetch_add(1, SeqCst))),
    }
}

fn limited(request: &mut Request<Chunks>) {
    let yes = HeaderValue::from_static("yes");
    request.headers_mut().insert("x-limited", yes);
}

fn one_an_hour() -> Quota {
    "1/h".parse().unwrap()
}

fn without_credential(_: &mut Request<Chunks>) {}

fn bearer(header: HeaderValue) -> impl Fn(&mut Request<Chunks>) {
    move |request| {
        request.headers_mut().insert(AUTHORIZATION, header.clone());
    }
}

fn with_header(name: &'static str, value: &'static str) -> impl Fn(&mut Request<Chunks>) + Copy {
    move |request| {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
}

async fn issued<S: TokenStore>(store: S) -> (Tokens<S>, HeaderValue) {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let tokens = Tokens::builder(store, keys).build().unwrap();
    let new = NewToken::runtime(&"plugin".parse().unwrap());
    let issued = tokens.issue(new).await.unwrap();
    let header = issued.token().header_value();
    (tokens, header)
}

/// Guards whatever stands at `/`, and a grant of it whose uses are counted.
async fn granting<S: GrantStore>(store: S) -> (CapabilityLayer<S>, HeaderValue) {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let broker = CapabilityBroker::builder(store, keys).with_policy(AllowAll);
    let broker = broker.build().unwrap();
    let everything = Capability::new("everything", "1.0.0").unwrap();
    let everything = everything.with_permission("* /**".parse().unwrap());
    broker.register(everything).unwrap();
    let request = GrantRequest::new(Principal::new("test", "a"), "everything")
        .with_max_uses(1000.try_into().unwrap())
        .with_insecure_bearer();
    let issued = broker.request(request).await.unwrap();
    let layer = CapabilityLayer::for_capability(broker, "everything").unwrap();
    (layer, issued.token().header_value())
}

/// Knows the answer and takes its time.
#[derive(Clone, Debug)]
struct Slow<T>(T);

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn later<T: Send + 'static>(value: T) -> Later<T> {
    Box::pin(async {
        tokio::task::yield_now().await;
        value
    })
}

impl Limiter for Slow<MemoryLimiter> {
    type Hasher = KeyHasher;
    type Future = Later<Result<Decision, Unavailable>>;

    fn hasher(&self, policy: &Policy) -> KeyHasher {
        self.0.hasher(policy)
    }

    fn apply(
        &self,
        policy: &Policy,
        key: KeyHasher,
        operation: Operation,
    ) -> Answer<Result<Decision, Unavailable>, Self::Future> {
        match self.0.apply(policy, key, operation) {
            Answer::Ready(decision) => Answer::Pending(later(decision)),
            Answer::Pending(_) => unreachable!("memory answers at once"),
        }
    }
}

impl TokenStore for Slow<MemoryStore> {
    type Lookup = Later<Found>;

    fn get(&self, id: &TokenId) -> Answer<Found, Self::Lookup> {
        match self.0.get(id) {
            Answer::Ready(found) => Answer::Pending(later(found)),
            Answer::Pending(_) => unreachable!("memory answers at once"),
        }
    }

    async fn insert(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        self.0.insert(record, now).await
    }

    async fn update(&self, next: Record, now: SystemTime) -> Result<bool, StoreError> {
        self.0.update(next, now).await
    }

    async fn take(&self, id: &TokenId) -> Found {
        self.0.take(id).await
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        self.0.revoke(revocation).await
    }

    async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        self.0.list(list).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.0.sweep(now).await
    }
}

impl GrantStore for Slow<MemoryGrantStore> {
    type Lookup = Later<FoundGrant>;
    type Using = Later<Result<Counted, StoreError>>;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup> {
        match self.0.get(id) {
            Answer::Ready(found) => Answer::Pending(later(found)),
            Answer::Pending(_) => unreachable!("memory answers at once"),
        }
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Self::Using> {
        match self.0.count_use(id, uses) {
            Answer::Ready(counted) => Answer::Pending(later(counted)),
            Answer::Pending(_) => unreachable!("memory answers at once"),
        }
    }

    async fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> Result<(), InsertGrantError> {
        self.0.insert(record, max_per_principal, now).await
    }

    async fn revoke(&self, revocation: GrantRevocation<'_>) -> Result<u64, StoreError> {
        self.0.revoke(revocation).await
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.0.sweep(now).await
    }
}

/// A poll after the end must not panic either.
#[tokio::test]
async fn a_refusal_polled_twice_does_not_panic() {
    let probe = Probe::default();
    let mut service = RequireLayer::new().layer(probe);
    let request = Request::new(Chunks::default());
    let mut future = pin!(service.ready().await.unwrap().call(request));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
    assert!(future.as_mut().poll(&mut cx).is_pending());
}
