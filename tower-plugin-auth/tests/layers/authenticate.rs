//! `AuthLayer`.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_auth::{
    AuthError, AuthLayer, BearerAuthenticator, ManualClock, MemoryStore, NewToken, Principal,
    Realm, Rejection, Tokens, VerifyError,
    authenticate::{Auth, from_async_fn, from_fn},
    token::{InvalidReason, MalformedToken, TokenKind},
};

use crate::support::{
    Body, Down, Slow, Whoami, bearer, issue, memory_tokens, request, text, tokens,
};

const BARE: &str = "Bearer realm=\"plugins\"";
const INVALID_TOKEN: &str = "Bearer realm=\"plugins\", error=\"invalid_token\"";
const INVALID_REQUEST: &str = "Bearer realm=\"plugins\", error=\"invalid_request\"";

fn layer<S>(tokens: &Tokens<S>) -> AuthLayer<BearerAuthenticator<S>>
where
    S: tower_plugin_auth::TokenStore,
{
    AuthLayer::new(BearerAuthenticator::new(tokens.clone()))
}

#[tokio::test]
async fn the_inner_service_learns_who_is_calling() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let whoami = Whoami::default();
    let calls = whoami.calls();

    let response = layer(&tokens)
        .layer(whoami)
        .oneshot(request(&[("authorization", &bearer(&issued))]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, issued.principal().subject());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// F15: the reference wanted the scheme in one case, sent no challenge, passed an empty token to its
/// validator and the validator's words to the caller.
#[tokio::test]
async fn f15_each_credential_gets_the_answer_of_rfc_6750() {
    let clock = ManualClock::new();
    let tokens = memory_tokens(&clock);
    let expired = issue(&tokens).await;
    clock.advance(Duration::from_secs(24 * 60 * 60));
    let issued = issue(&tokens).await;
    let (other, revoked) = (issue(&tokens).await, issue(&tokens).await);
    tokens.revoke(&revoked.token().id()).await.unwrap();
    let grant = tokens
        .issue(NewToken::for_principal(
            TokenKind::Grant,
            issued.principal().clone(),
        ))
        .await
        .unwrap();
    let unknown = issue(&memory_tokens(&clock)).await;

    let token = issued.token().expose();
    let right = bearer(&issued);
    let id = issued.principal().subject();
    let other_id = other.principal().subject();
    let (lower, upper) = (format!("bearer {token}"), format!("BEARER   {token}"));
    let (glued, basic) = (format!("Bearer{token}"), format!("Basic {token}"));
    let twice = format!("{right}, {right}");
    let upper_id = id.to_ascii_uppercase();

    use InvalidReason::{Expired, Malformed, OtherSubject, Unknown, WrongKind};
    const LENGTH: InvalidReason = Malformed(MalformedToken::Length);
    const AUTH: &str = "authorization";
    const ID: &str = "x-plugin-runtime-id";
    enum Expect {
        Ok,
        Missing,
        Repeated,
        Invalid(InvalidReason),
    }
    struct Case<'a> {
        name: &'static str,
        headers: &'a [(&'a str, &'a str)],
        expect: Expect,
    }
    let case = |name, headers, expect| Case {
        name,
        headers,
        expect,
    };
    for Case {
        name,
        headers,
        expect,
    } in [
        case("right", &[(AUTH, &right)], Expect::Ok),
        case("lower-case scheme", &[(AUTH, &lower)], Expect::Ok),
        case("upper-case scheme", &[(AUTH, &upper)], Expect::Ok),
        case("with id", &[(AUTH, &right), (ID, id)], Expect::Ok),
        case("nothing", &[], Expect::Missing),
        case("id alone", &[(ID, id)], Expect::Missing),
        case("empty", &[(AUTH, "")], Expect::Missing),
        case("another scheme", &[(AUTH, &basic)], Expect::Missing),
        case("no space", &[(AUTH, &glued)], Expect::Missing),
        case("no scheme", &[(AUTH, token)], Expect::Missing),
        case("scheme alone", &[(AUTH, "Bearer")], Expect::Invalid(LENGTH)),
        case("empty token", &[(AUTH, "Bearer ")], Expect::Invalid(LENGTH)),
        case(
            "garbage",
            &[(AUTH, "Bearer hunter2")],
            Expect::Invalid(LENGTH),
        ),
        case(
            "two in one value",
            &[(AUTH, &twice)],
            Expect::Invalid(LENGTH),
        ),
        case(
            "unknown",
            &[(AUTH, &bearer(&unknown))],
            Expect::Invalid(Unknown),
        ),
        case(
            "revoked",
            &[(AUTH, &bearer(&revoked))],
            Expect::Invalid(Unknown),
        ),
        case(
            "expired",
            &[(AUTH, &bearer(&expired))],
            Expect::Invalid(Expired),
        ),
        case(
            "a grant",
            &[(AUTH, &bearer(&grant))],
            Expect::Invalid(WrongKind),
        ),
        case(
            "another's id",
            &[(AUTH, &right), (ID, other_id)],
            Expect::Invalid(OtherSubject),
        ),
        case(
            "id in upper case",
            &[(AUTH, &right), (ID, &upper_id)],
            Expect::Invalid(OtherSubject),
        ),
        case(
            "empty id",
            &[(AUTH, &right), (ID, "")],
            Expect::Invalid(OtherSubject),
        ),
        case(
            "two credentials",
            &[(AUTH, &right), (AUTH, &right)],
            Expect::Repeated,
        ),
        case(
            "two schemes",
            &[(AUTH, &right), (AUTH, &basic)],
            Expect::Repeated,
        ),
        case(
            "two ids",
            &[(AUTH, &right), (ID, id), (ID, other_id)],
            Expect::Repeated,
        ),
    ] {
        let (status, challenge, message, reason) = match expect {
            Expect::Ok => (200, None, None, None),
            Expect::Missing => (401, Some(BARE), Some("authentication required"), None),
            Expect::Repeated => (
                400,
                Some(INVALID_REQUEST),
                Some("exactly one credential must be sent"),
                None,
            ),
            Expect::Invalid(reason) => (
                401,
                Some(INVALID_TOKEN),
                Some("invalid token"),
                Some(reason),
            ),
        };
        let whoami = Whoami::default();
        let calls = whoami.calls();
        let response = layer(&tokens)
            .layer(whoami)
            .oneshot(request(headers))
            .await
            .unwrap();

        assert_eq!(response.status(), status, "{name}");
        assert_eq!(
            response
                .headers()
                .get(WWW_AUTHENTICATE)
                .map(|v| v.to_str().unwrap()),
            challenge,
            "{name}"
        );
        assert_eq!(
            response
                .extensions()
                .get::<Rejection>()
                .map(Rejection::message),
            message,
            "{name}"
        );
        assert_eq!(response.extensions().get(), reason.as_ref(), "{name}");
        let admitted = usize::from(status == 200);
        assert_eq!(calls.load(Ordering::Relaxed), admitted, "{name}");

        let body = text(response).await;
        for (_, sent) in headers
            .iter()
            .filter(|(_, sent)| status != 200 && sent.len() > 6)
        {
            assert!(!body.contains(sent), "{name} is echoed: {body}");
        }
    }
}

/// The reference's near-match test, at every length and every position.
#[tokio::test]
async fn a_near_match_is_refused() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let right = bearer(&issued);
    let service = layer(&tokens).layer(Whoami::default());

    let mut near = vec![
        right[..right.len() - 1].to_owned(),
        format!("{right}A"),
        format!("{right}=="),
    ];
    for at in "Bearer ".len()..right.len() {
        let mut text = right.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        near.push(String::from_utf8(text).unwrap());
    }
    for text in near {
        let response = service
            .clone()
            .oneshot(request(&[("authorization", &text)]))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{text}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_answer_is_503_and_no_challenge() {
    let clock = ManualClock::new();
    let right = bearer(&issue(&memory_tokens(&clock)).await);
    for (known, retry_after) in [(None, "1"), (Some(Duration::from_millis(2500)), "3")] {
        let whoami = Whoami::default();
        let calls = whoami.calls();
        let response = layer(&tokens(Down(known), &clock))
            .layer(whoami)
            .oneshot(request(&[("authorization", &right)]))
            .await
            .unwrap();

        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], retry_after);
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        assert!(!text(response).await.contains("10.0.0.7"));
    }

    // Garbage needs no store to be refused.
    let response = layer(&tokens(Down(None), &clock))
        .layer(Whoami::default())
        .oneshot(request(&[("authorization", "Bearer garbage")]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

/// In whatever protocol: down is not unauthorised, and each can read for how long.
#[tokio::test]
async fn a_store_that_cannot_answer_is_unavailable_in_every_protocol_and_no_challenge() {
    let clock = ManualClock::new();
    let right = bearer(&issue(&memory_tokens(&clock)).await);
    for (content_type, status, grpc_status, body) in [
        ("application/grpc", 200, Some("14"), ""),
        ("application/grpc-web+proto", 200, Some("14"), ""),
        ("application/proto", 503, None, "\"code\":\"unavailable\""),
        (
            "application/connect+proto",
            200,
            None,
            "\"code\":\"unavailable\"",
        ),
    ] {
        let whoami = Whoami::default();
        let calls = whoami.calls();
        let down = tokens(Down(Some(Duration::from_millis(2500))), &clock);
        let headers = [("authorization", &*right), ("content-type", content_type)];
        let response = layer(&down)
            .layer(whoami)
            .oneshot(request(&headers))
            .await
            .unwrap();

        assert_eq!(response.status(), status, "{content_type}");
        let headers = response.headers();
        let told = headers
            .get("grpc-status")
            .map(|told| told.to_str().unwrap());
        assert_eq!(told, grpc_status, "{content_type}");
        assert_eq!(headers[RETRY_AFTER], "3", "{content_type}");
        assert!(!headers.contains_key(WWW_AUTHENTICATE), "{content_type}");
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        // A stream's begins with its length.
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(body), "{content_type}: {text}");
        assert!(!text.contains("10.0.0.7"), "{content_type}");
    }
}

#[tokio::test]
async fn issuing_and_revoking_say_so_when_the_store_is_down() {
    let clock = ManualClock::new();
    let down = tokens(Down(None), &clock);
    let error = down
        .issue(NewToken::runtime(&"cache".parse().unwrap()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "token store is unavailable");
    let id = issue(&memory_tokens(&clock)).await.token().id();
    assert!(down.revoke(&id).await.is_err());
}

/// `Whoami` panics when called unready, and its clones are not ready.
#[tokio::test]
async fn a_store_that_takes_its_time_calls_the_service_that_was_ready() {
    let clock = ManualClock::new();
    let tokens = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
    let issued = issue(&tokens).await;
    let right = bearer(&issued);
    let whoami = Whoami::default();
    let calls = whoami.calls();
    let mut service = layer(&tokens).layer(whoami);

    for id in [issued.principal().subject(), "another"] {
        let matches = id == issued.principal().subject();
        let call = service.ready().await.unwrap().call(request(&[
            ("authorization", &right),
            ("x-plugin-runtime-id", id),
        ]));
        let response = call.await.unwrap();
        assert_eq!(response.status() == StatusCode::OK, matches);
        if matches {
            assert_eq!(text(response).await, issued.principal().subject());
        } else {
            assert_eq!(response.headers()[WWW_AUTHENTICATE], INVALID_TOKEN);
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    let text = issued.token().expose().as_bytes();
    assert!(tokens.verify(TokenKind::Runtime, text).await.is_ok());
    clock.advance(Duration::from_secs(24 * 60 * 60));
    assert!(matches!(
        tokens.verify(TokenKind::Runtime, text).await,
        Err(VerifyError::Invalid(InvalidReason::Expired))
    ));
}

#[tokio::test]
async fn a_call_dropped_while_the_store_is_asked_never_reaches_the_inner_service() {
    let clock = ManualClock::new();
    let tokens = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
    let right = bearer(&issue(&tokens).await);
    let whoami = Whoami::default();
    let calls = whoami.calls();
    let mut service = layer(&tokens).layer(whoami);

    let request = request(&[("authorization", &right)]);
    let mut call = Box::pin(service.ready().await.unwrap().call(request));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    drop(call);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

/// F06: the reference took an error of the handler for a failed authentication, tried the next
/// credential, and so ran the handler twice, as two different callers.
#[tokio::test]
async fn f06_the_handler_runs_once_and_its_error_passes_unchanged() {
    let clock = ManualClock::new();
    let fast = memory_tokens(&clock);
    let slow = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = {
        let calls = Arc::clone(&calls);
        service_fn(move |_: Request<Body>| {
            calls.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<Response<Body>, _>(io::Error::other("disk full")))
        })
    };
    let authorization = |issued| request(&[("authorization", &bearer(&issued))]);

    let at_once = layer(&fast)
        .layer(handler.clone())
        .oneshot(authorization(issue(&fast).await));
    assert_eq!(at_once.await.unwrap_err().to_string(), "disk full");
    assert_eq!(calls.load(Ordering::Relaxed), 1);

    let later = layer(&slow)
        .layer(handler)
        .oneshot(authorization(issue(&slow).await));
    assert_eq!(later.await.unwrap_err().to_string(), "disk full");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_handler_s_own_401_is_left_as_it_is() {
    let tokens = memory_tokens(&ManualClock::new());
    let right = bearer(&issue(&tokens).await);
    let handler = service_fn(async |_: Request<Body>| {
        Response::builder().status(401).body(Body::from("mine"))
    });
    let response = layer(&tokens)
        .layer(handler)
        .oneshot(request(&[("authorization", &right)]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    assert_eq!(text(response).await, "mine");
}

#[tokio::test]
async fn the_credential_is_marked_sensitive_for_the_inner_service() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let handler = service_fn(async |request: Request<Body>| {
        Ok::<_, http::Error>(Response::new(Body::from(format!(
            "{:?}",
            request.headers()
        ))))
    });
    let sent = request(&[("authorization", &bearer(&issued))]);
    assert!(
        !sent.headers()[AUTHORIZATION].is_sensitive(),
        "or this test proves nothing"
    );
    let response = layer(&tokens).layer(handler).oneshot(sent).await.unwrap();
    assert_eq!(text(response).await, "{\"authorization\": Sensitive}");
}

#[tokio::test]
async fn a_principal_from_further_out_is_replaced() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let mut request = request(&[("authorization", &bearer(&issued))]);
    request
        .extensions_mut()
        .insert(Principal::new("runtime", "forged"));
    let response = layer(&tokens)
        .layer(Whoami::default())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(text(response).await, issued.principal().subject());
}

#[tokio::test]
async fn a_grpc_caller_is_refused_in_grpc() {
    let tokens = memory_tokens(&ManualClock::new());
    let response = layer(&tokens)
        .layer(Whoami::default())
        .oneshot(request(&[("content-type", "application/grpc+proto")]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc+proto");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn realm_and_body_are_the_user_s_to_choose() {
    let tokens = memory_tokens(&ManualClock::new());
    let response = layer(&tokens)
        .with_realm(Realm::new("cache cluster").unwrap())
        .with_body(|rejection| {
            Response::builder()
                .status(200)
                .header(CONTENT_TYPE, "text/plain")
                .body(Bytes::from_static(rejection.reason().as_bytes()))
                .unwrap()
        })
        .layer(Whoami::default())
        .oneshot(request(&[]))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        "Bearer realm=\"cache cluster\""
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain");
    assert_eq!(text(response).await, "MISSING_CREDENTIAL");
}

/// The reference's `APIKeyAuth` and its token header of any name, as closures.
#[tokio::test]
async fn a_closure_authenticates_by_any_header() {
    fn principal(key: Option<&http::HeaderValue>) -> Result<Principal, AuthError> {
        match key.ok_or(AuthError::Missing)?.as_bytes() {
            b"Token my-custom-token" => {
                Ok(Principal::new("api-key", "user-789").with_attribute("role", "admin"))
            }
            _ => Err(AuthError::Invalid(InvalidReason::Unknown)),
        }
    }
    let at_once = AuthLayer::new(from_fn(|request| {
        principal(request.headers.get("x-custom-auth"))
    }))
    .layer(Whoami::default());
    let later = AuthLayer::new(from_async_fn(|request| {
        let key = request.headers.get("x-custom-auth").cloned();
        async move {
            tokio::task::yield_now().await;
            principal(key.as_ref())
        }
    }))
    .layer(Whoami::default());

    for (value, status) in [
        (Some("Token my-custom-token"), 200),
        (Some("Token another"), 401),
        (None, 401),
    ] {
        let request = || {
            let headers: Vec<_> = value
                .map(|value| ("x-custom-auth", value))
                .into_iter()
                .collect();
            request(&headers)
        };
        let responses = [
            at_once.clone().oneshot(request()).await.unwrap(),
            later.clone().oneshot(request()).await.unwrap(),
        ];
        for response in responses {
            assert_eq!(response.status(), status);
            if status == 200 {
                assert_eq!(text(response).await, "user-789");
            }
        }
    }
}

#[test]
fn layer_service_and_future_go_wherever_tower_takes_them() {
    fn is_shareable<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn is_send<T: Send>(_: &T) {}
    let tokens = memory_tokens(&ManualClock::new());
    let layer = layer(&tokens);
    is_shareable(&layer);
    let mut service: Auth<_, _> = layer.layer(Whoami::default());
    is_shareable(&service);
    is_send(&service.call(request(&[])));
}
