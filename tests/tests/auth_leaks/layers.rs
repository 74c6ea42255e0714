//! Every layer around every authenticator, in three protocols, and the client.

use std::{convert::Infallible, fmt::Debug, future::pending, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_plugin_auth::{
    AuthError, AuthLayer, AuthorizeLayer, BearerAuthenticator, MemoryStore, NewToken, Principal,
    RequireLayer, RequireSecureTransportLayer, StoreError, SystemRng, Tokens,
    audit::{self, AuditLayer, FileSink, TracingSink},
    authenticate::{
        ApiKeyAuthenticator, ApiKeys, Authenticator, CredentialHeader, Deadline, FirstOf,
        from_async_fn, from_fn,
    },
    authorize::{AllowAll, Permissions},
    client::{BearerLayer, BearerToken, Origin},
    token::{KeyRing, Pepper, PresentedToken, TokenKind, mint},
    transport::SecureTransport,
};

use crate::seen::{Log, Seen};

type Body = Full<Bytes>;

/// F09: the reference kept secrets in clear, and its example logged the start of one.
#[tokio::test(start_paused = true)]
async fn f09_no_secret_is_seen_again() {
    let (log, _alone) = Log::install().await;
    let mut seen = Seen::default();
    let directory = tempfile::TempDir::new().unwrap();
    servers(&mut seen, &audit_log(&directory)).await;
    clients(&mut seen).await;
    seen.text.push_str(&log.take());
    let records = std::fs::read_to_string(directory.path().join("audit.00000001.jsonl")).unwrap();
    for name in [
        "authn_login_fail",
        "authn_token_created",
        "\"MALFORMED\"",
        "authz_fail",
    ] {
        assert!(records.contains(name), "{name:?} was not recorded");
    }
    seen.text.push_str(&records);
    for line in [
        "request not authenticated",
        "tower_plugin::audit",
        "handler saw",
        "no token to be had",
    ] {
        assert!(seen.text.contains(line), "{line:?} was not logged");
    }
    seen.check();
}

fn audit_log(directory: &tempfile::TempDir) -> FileSink {
    let keys = KeyRing::new(Pepper::new(1, &[1; 32]).unwrap(), []).unwrap();
    let on_full = audit::OnFull::Wait(Duration::from_secs(10));
    let builder = FileSink::builder(directory.path().join("audit"), keys).with_on_full(on_full);
    builder.with_sync(false).open().unwrap()
}

async fn servers(seen: &mut Seen, log: &FileSink) {
    let tokens = tokens(log.clone());
    seen.show(log);
    let issued = tokens.issue(NewToken::runtime(&"cache".parse().unwrap()));
    let issued = issued.await.unwrap();
    let revoked = tokens.issue(NewToken::runtime(&"cache".parse().unwrap()));
    let revoked = revoked.await.unwrap();
    tokens.revoke(&revoked.token().id()).await.unwrap();
    let grant = NewToken::for_principal(TokenKind::Grant, Principal::new("test", "a"));
    let grant = tokens.issue(grant).await.unwrap();
    let other_keys = KeyRing::random(&SystemRng).unwrap();
    let unknown = mint(TokenKind::Runtime, &other_keys, &SystemRng).unwrap();
    let garbage = seen.secret();
    let mut near = issued.token().expose().to_owned();
    near.truncate(near.len() - 2);
    near.push_str("AA");
    let issued_tokens = [
        issued.token(),
        revoked.token(),
        grant.token(),
        unknown.token(),
    ];
    for token in issued_tokens {
        // The id is public; what follows is not.
        seen.secrets.push(token.expose()[4 + 23..].to_owned());
        seen.show(token);
        seen.show(&PresentedToken::parse(token.expose().as_bytes()));
    }
    seen.show(&issued);
    seen.show(&other_keys);
    let key = seen.secret();
    let keys = || {
        let billing = Principal::new("api-key", "billing");
        ApiKeys::new([(&key, billing)], &SystemRng).unwrap()
    };
    for bad in [&garbage, &format!("{garbage} {key}")] {
        let pair = || (bad, Principal::new("api-key", "a"));
        seen.show(&ApiKeys::new([pair(), pair()], &SystemRng));
    }
    let custom = CredentialHeader::new("x-custom-auth".parse().unwrap());
    let custom = custom.with_scheme("Token").unwrap();

    // Every form of every credential, right and wrong, alone and together.
    let mut requests: Vec<Vec<(&str, String)>> = vec![vec![]];
    let mut credentials: Vec<String> = issued_tokens.map(|token| token.expose().to_owned()).into();
    credentials.extend([near, key.clone(), garbage.clone(), seen.secret()]);
    for text in &credentials {
        for scheme in ["Bearer ", "bearer  ", "Basic ", "Token ", "Bearer", ""] {
            let value = format!("{scheme}{text}");
            for name in ["authorization", "x-api-key", "x-custom-auth"] {
                requests.push(vec![(name, value.clone())]);
                requests.push(vec![(name, value.clone()), (name, value.clone())]);
                requests.push(vec![(name, format!("{value}, {value}"))]);
            }
        }
        let bearer = format!("Bearer {}", issued.token().expose());
        let id = ("x-plugin-runtime-id", text.clone());
        requests.push(vec![
            ("authorization", bearer.clone()),
            ("x-api-key", text.clone()),
        ]);
        requests.push(vec![("authorization", bearer), id]);
    }

    let bearer = || BearerAuthenticator::new(tokens.clone());
    let by_key = || ApiKeyAuthenticator::new(keys());
    let several = || {
        let list = FirstOf::builder()
            .or(bearer())
            .or(by_key())
            .or(ApiKeyAuthenticator::new(keys()).with_header(custom.clone()));
        list.build().unwrap()
    };
    let hangs = from_async_fn(|_| pending());
    let down = from_fn(|_| Err(AuthError::Unavailable(StoreError::unavailable("refused"))));
    let hangs = Deadline::new(hangs, Duration::from_secs(1)).unwrap();
    let by_custom = bearer().with_header(custom.clone());
    serve(seen, log, &requests, bearer(), &[]).await;
    serve(seen, log, &requests, by_custom, &["x-custom-auth"]).await;
    serve(seen, log, &requests, by_key(), &["x-api-key"]).await;
    serve(
        seen,
        log,
        &requests,
        several(),
        &["x-api-key", "x-custom-auth"],
    )
    .await;
    serve(seen, log, &requests[..3], hangs, &[]).await;
    serve(seen, log, &requests[..3], down, &[]).await;
}

/// Sends the requests through every layer around this authenticator, in three protocols. It reads
/// `Authorization` and these headers.
async fn serve<A>(
    seen: &mut Seen,
    log: &FileSink,
    requests: &[Vec<(&str, String)>],
    authenticator: A,
    headers: &'static [&'static str],
) where
    A: Authenticator + Clone + Debug,
{
    let warn = RequireSecureTransportLayer::new(SecureTransport::Warn);
    // Everything, and twice: to the file and to the log.
    let audit = AuditLayer::new(log.clone()).with_admitted(|_| true);
    let open = ServiceBuilder::new()
        .layer(audit.clone())
        .layer(AuditLayer::new(TracingSink))
        .layer(warn.clone())
        .layer(AuthLayer::optional(authenticator.clone()))
        .layer(AuthorizeLayer::new(AllowAll));
    let closed = ServiceBuilder::new()
        .layer(audit)
        .layer(AuditLayer::new(TracingSink))
        .layer(warn)
        .layer(AuthLayer::new(authenticator.clone()))
        .layer(AuthorizeLayer::new(Permissions::new()))
        .layer(RequireLayer::new());
    seen.show(&authenticator);
    seen.show(&open);
    seen.show(&closed);
    let mut open = open.service(handler(headers));
    let mut closed = closed.service(handler(headers));
    for headers in requests {
        for content_type in ["text/plain", "application/grpc", "application/proto"] {
            let request = || {
                let mut request = Request::post("/a").header("content-type", content_type);
                for (name, value) in headers {
                    request = request.header(*name, value);
                }
                request.body(Body::default()).unwrap()
            };
            let answer = open.ready().await.unwrap().call(request()).await.unwrap();
            seen.response(answer).await;
            let answer = closed.ready().await.unwrap().call(request()).await.unwrap();
            seen.response(answer).await;
        }
    }
}

async fn clients(seen: &mut Seen) {
    let origin = || Origin::new("https://a.example").unwrap();
    for header in [
        CredentialHeader::bearer(),
        CredentialHeader::new("x-api-key".parse().unwrap()),
    ] {
        let secret = seen.secret();
        let token = {
            let secret = secret.clone();
            move || std::future::ready(BearerToken::new(&secret, Duration::from_secs(60)))
        };
        seen.show(&token().into_inner());
        seen.show(&BearerToken::new(
            &format!("{secret}\n"),
            Duration::from_secs(60),
        ));
        let layer = BearerLayer::new(token, origin()).with_header(header);
        seen.show(&layer);
        let client = layer.layer(handler(&["x-api-key"]));
        seen.show(&client);
        for uri in ["https://a.example/", "https://b.example/", "/a"] {
            let request = Request::get(uri).body(Body::default()).unwrap();
            let answer = client.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            seen.response(answer).await;
        }
    }
    let fails = || std::future::ready(Err::<BearerToken, _>(io::Error::other("down")));
    let client = BearerLayer::new(fails, origin()).layer(handler(&[]));
    let answer = client.oneshot(Request::default()).await.unwrap();
    assert_eq!(answer.status(), 503);
    seen.response(answer).await;
}

/// A handler as careless as any: it logs all it is given, and sends it back. Of the headers that hold
/// credentials here, it is given those that are known to do so.
fn handler(
    headers: &'static [&'static str],
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Debug {
    service_fn(async move |mut request: Request<Body>| {
        for name in ["x-api-key", "x-custom-auth", "x-plugin-runtime-id"] {
            if !headers.contains(&name) {
                request.headers_mut().remove(name);
            }
        }
        let shown = format!("{request:?} {:?}", request.extensions().get::<Principal>());
        tracing::info!("handler saw {shown}");
        Ok(Response::new(Body::from(shown)))
    })
}

fn tokens(log: FileSink) -> Tokens<MemoryStore> {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let store = MemoryStore::new(100).unwrap();
    Tokens::builder(store, keys)
        .with_observer(audit::tokens(log))
        .build()
        .unwrap()
}
