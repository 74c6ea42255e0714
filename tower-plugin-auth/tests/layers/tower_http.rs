//! Our authenticators in tower-http's layers.

use std::{convert::Infallible, sync::atomic::Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_http::{
    auth::AsyncRequireAuthorizationLayer, validate_request::ValidateRequestHeaderLayer,
};
use tower_plugin_auth::{
    AuthError, BearerAuthenticator, ManualClock, MemoryStore, Principal, Realm,
    authenticate::{RequestAuthorizer, from_fn},
};

use crate::support::{
    Body, Down, Slow, Whoami, bearer, issue, memory_tokens, request, text, tokens,
};

/// Headers, the status they get, and the challenge.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, Option<&'a str>);

async fn check<S>(service: S, cases: &[Case<'_>])
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone,
{
    for (headers, status, challenge) in cases {
        let response = service.clone().oneshot(request(headers)).await.unwrap();
        assert_eq!(response.status(), *status, "{headers:?}");
        let sent = response.headers().get("www-authenticate").cloned();
        assert_eq!(
            sent.as_ref().map(|v| v.to_str().unwrap()),
            *challenge,
            "{headers:?}"
        );
        if *status != 200 {
            assert!(text(response).await.contains("\"code\""), "{headers:?}");
        }
    }
}

const BARE: &str = "Bearer realm=\"plugins\"";
const INVALID: &str = "Bearer realm=\"plugins\", error=\"invalid_token\"";

#[tokio::test]
async fn tower_http_s_layer_authenticates_by_a_token() {
    let clock = ManualClock::new();
    let fast = memory_tokens(&clock);
    let slow = tokens(Slow(MemoryStore::new(10).unwrap()), &clock);
    let (by_fast, by_slow) = (bearer(&issue(&fast).await), bearer(&issue(&slow).await));
    let whoami = Whoami::default();
    let calls = whoami.calls();

    let layer =
        AsyncRequireAuthorizationLayer::new(RequestAuthorizer::new(BearerAuthenticator::new(fast)));
    let cases: [(&[(&str, &str)], _, _); 4] = [
        (&[("authorization", &by_fast)], 200, None),
        (&[("authorization", &by_slow)], 401, Some(INVALID)),
        (&[("authorization", "Bearer no")], 401, Some(INVALID)),
        (&[], 401, Some(BARE)),
    ];
    check(layer.layer(whoami.clone()), &cases).await;

    let layer =
        AsyncRequireAuthorizationLayer::new(RequestAuthorizer::new(BearerAuthenticator::new(slow)));
    let cases: [(&[(&str, &str)], _, _); 3] = [
        (&[("authorization", &by_slow)], 200, None),
        (&[("authorization", &by_fast)], 401, Some(INVALID)),
        (&[], 401, Some(BARE)),
    ];
    check(layer.layer(whoami.clone()), &cases).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);

    let down = BearerAuthenticator::new(tokens(Down(None), &clock));
    let layer = AsyncRequireAuthorizationLayer::new(RequestAuthorizer::new(down));
    check(
        layer.layer(whoami),
        &[(&[("authorization", &by_fast)], 503, None)],
    )
    .await;
}

#[tokio::test]
async fn the_principal_reaches_the_service_and_the_head_is_left_as_it_was() {
    let by_badge = from_fn(|request| match request.headers.get("x-badge") {
        Some(badge) if badge == "7" => Ok(Principal::new("badge", "7")),
        _ => Err(AuthError::Missing),
    });
    let authorizer = RequestAuthorizer::new(by_badge).with_realm(Realm::new("door").unwrap());
    let show = tower::service_fn(async |request: Request<Body>| {
        let principal = request
            .extensions()
            .get::<Principal>()
            .unwrap()
            .subject()
            .to_owned();
        let (method, uri, version) = (request.method(), request.uri(), request.version());
        let shown = format!(
            "{principal} {method} {uri} {version:?} {}",
            request.extensions().len()
        );
        Ok::<_, Infallible>(Response::new(Body::from(shown)))
    });
    let send = || {
        Request::put("/a?b")
            .version(http::Version::HTTP_2)
            .header("x-badge", "7")
            .extension(7_u8)
            .body(Body::default())
            .unwrap()
    };
    let validated = ValidateRequestHeaderLayer::custom(authorizer.clone()).layer(show);
    let authorized = AsyncRequireAuthorizationLayer::new(authorizer).layer(show);
    let expected = "7 PUT /a?b HTTP/2.0 2";
    assert_eq!(
        text(validated.clone().oneshot(send()).await.unwrap()).await,
        expected
    );
    assert_eq!(
        text(authorized.clone().oneshot(send()).await.unwrap()).await,
        expected
    );

    let door = Some("Bearer realm=\"door\"");
    check(validated, &[(&[("x-badge", "8")], 401, door)]).await;
    check(authorized, &[(&[], 401, door)]).await;
}
