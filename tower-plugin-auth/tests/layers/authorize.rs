//! `AuthorizeLayer` and `RequireLayer`.

use std::{io, sync::atomic::Ordering};

use http::{Method, Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use tower::{Layer, ServiceExt, service_fn};
use tower_plugin_auth::{
    AuthLayer, AuthorizeLayer, BearerAuthenticator, ManualClock, Principal, Realm, RequireLayer,
    authorize::{AllowAll, Callers, Permission, Permissions},
};

use crate::support::{Body, Whoami, bearer, issue, memory_tokens, request, text};

fn from(principal: Option<Principal>) -> Request<Body> {
    let mut request = request(&[]);
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    request
}

#[tokio::test]
async fn without_a_principal_nothing_gets_in_whatever_the_predicate() {
    let whoami = Whoami::default();
    let calls = whoami.calls();
    let any = RequireLayer::new().layer(whoami.clone());
    let asked = RequireLayer::when(|_, _| panic!("nobody to ask about")).layer(whoami);
    for response in [
        any.oneshot(from(None)).await.unwrap(),
        asked.oneshot(from(None)).await.unwrap(),
    ] {
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"plugins\""
        );
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn any_principal_will_do_unless_more_is_asked() {
    let response = RequireLayer::new()
        .layer(Whoami::default())
        .oneshot(from(Some(Principal::new("runtime", "cache-1"))))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "cache-1");
}

/// The reference's whitelist of services a plugin may register. Where none was set it allowed
/// everything; here nothing is allowed that was not.
#[tokio::test]
async fn only_what_is_allowed_is_allowed() {
    struct Case {
        name: &'static str,
        allowed: Option<&'static str>,
        service: &'static str,
        status: u16,
    }
    const fn case(
        name: &'static str,
        allowed: Option<&'static str>,
        service: &'static str,
        status: u16,
    ) -> Case {
        Case {
            name,
            allowed,
            service,
            status,
        }
    }
    let layer = RequireLayer::when(|principal, request| {
        let wanted = request.uri.path().trim_start_matches('/');
        principal
            .attribute("services")
            .is_some_and(|allowed| allowed.split(',').any(|service| service == wanted))
    });
    for Case {
        name,
        allowed,
        service,
        status,
    } in [
        case("allowed", Some("cache,logger"), "cache", 200),
        case("unauthorized", Some("cache"), "secrets", 403),
        case(
            "one of several",
            Some("cache,logger,storage"),
            "storage",
            200,
        ),
        case(
            "none of several",
            Some("cache,logger,storage"),
            "secrets",
            403,
        ),
        case("empty list", Some(""), "cache", 403),
        case("no list", None, "cache", 403),
    ] {
        let mut principal = Principal::new("runtime", "cache-1");
        if let Some(allowed) = allowed {
            principal = principal.with_attribute("services", allowed);
        }
        let mut request = from(Some(principal));
        *request.uri_mut() = format!("/{service}").parse().unwrap();

        let whoami = Whoami::default();
        let calls = whoami.calls();
        let response = layer.layer(whoami).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(
            calls.load(Ordering::Relaxed),
            usize::from(status == 200),
            "{name}"
        );
        if status == 403 {
            assert_eq!(
                response.headers()[WWW_AUTHENTICATE],
                "Bearer realm=\"plugins\", error=\"insufficient_scope\"",
                "{name}"
            );
            assert!(text(response).await.contains("not authorized"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_grpc_caller_who_may_not_is_told_so_in_grpc() {
    let mut request = from(Some(Principal::new("runtime", "cache-1")));
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let response = RequireLayer::when(|_, _| false)
        .layer(Whoami::default())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "7");
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_unchanged() {
    let handler = service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>(io::Error::other("disk full"))
    });
    let error = RequireLayer::new()
        .layer(handler)
        .oneshot(from(Some(Principal::new("runtime", "cache-1"))))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "disk full");
}

#[tokio::test]
async fn both_layers_together_tell_401_from_403() {
    let tokens = memory_tokens(&ManualClock::new());
    let issued = issue(&tokens).await;
    let service = AuthLayer::new(BearerAuthenticator::new(tokens)).layer(
        RequireLayer::when(|_, request| request.method == Method::GET)
            .with_realm(Realm::new("writers").unwrap())
            .layer(Whoami::default()),
    );
    let right = bearer(&issued);
    for (method, authorization, status) in [
        (Method::GET, Some(&right), 200),
        (Method::POST, Some(&right), 403),
        (Method::GET, None, 401),
        (Method::POST, None, 401),
    ] {
        let headers: Vec<_> = authorization
            .map(|value| ("authorization", value.as_str()))
            .into_iter()
            .collect();
        let mut request = request(&headers);
        *request.method_mut() = method.clone();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {authorization:?}");
        if status == 403 {
            assert_eq!(
                response.headers()[WWW_AUTHENTICATE],
                "Bearer realm=\"writers\", error=\"insufficient_scope\""
            );
        }
    }
}

/// F03: in the reference nobody asked who was calling, but for one route.
#[tokio::test]
async fn f03_a_refusal_is_told_in_the_caller_s_protocol() {
    let permissions = Permissions::new().permit(
        Callers::kind("runtime"),
        Permission::rpc("{services}", "*").unwrap(),
    );
    let layer = AuthorizeLayer::new(permissions);
    let cache = || Principal::new("runtime", "cache-1").with_attribute("services", "kv.v1.Store");
    let http = ("text/plain", "content-type");
    let grpc = ("application/grpc", "grpc-status");
    let connect = ("application/proto", "content-type");
    for (caller, path, (content_type, header), status, value) in [
        (Some(cache()), "/kv.v1.Store/Get", http, 200, None),
        (Some(cache()), "/kv.v1.Store/Get", grpc, 200, None),
        (
            Some(cache()),
            "/kv.v1.Secrets/Get",
            http,
            403,
            Some("application/problem+json"),
        ),
        (Some(cache()), "/kv.v1.Secrets/Get", grpc, 200, Some("7")),
        (
            Some(cache()),
            "/kv.v1.Secrets/Get",
            connect,
            403,
            Some("application/json"),
        ),
        (
            Some(cache()),
            "/kv.v1.Store/../Secrets/Get",
            grpc,
            200,
            Some("7"),
        ),
        (
            None,
            "/kv.v1.Store/Get",
            http,
            401,
            Some("application/problem+json"),
        ),
        (None, "/kv.v1.Store/Get", grpc, 200, Some("16")),
        (
            None,
            "/kv.v1.Store/Get",
            connect,
            401,
            Some("application/json"),
        ),
    ] {
        let is_known = caller.is_some();
        let mut request = from(caller);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().unwrap();
        let value_of = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", value_of);

        let whoami = Whoami::default();
        let calls = whoami.calls();
        let response = layer.layer(whoami).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path} {content_type}");
        let found = response
            .headers()
            .get(header)
            .map(|found| found.to_str().unwrap());
        assert_eq!(found, value, "{path} {content_type}");
        assert_eq!(calls.load(Ordering::Relaxed), usize::from(value.is_none()));
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        let expected = match (value, is_known) {
            (None, _) => None,
            (_, true) => Some("Bearer realm=\"plugins\", error=\"insufficient_scope\""),
            (_, false) => Some("Bearer realm=\"plugins\""),
        };
        assert_eq!(challenge.map(|found| found.to_str().unwrap()), expected);
    }
}

#[tokio::test]
async fn to_allow_all_has_to_be_said_and_is_for_nobody_unknown() {
    let anything = AuthorizeLayer::new(AllowAll);
    let nothing = AuthorizeLayer::new(Permissions::new());
    for (caller, by_all, by_none) in [
        (Some(Principal::new("runtime", "cache-1")), 200, 403),
        (None, 401, 401),
    ] {
        let response = anything
            .layer(Whoami::default())
            .oneshot(from(caller.clone()));
        assert_eq!(response.await.unwrap().status(), by_all);
        let response = nothing.layer(Whoami::default()).oneshot(from(caller));
        assert_eq!(response.await.unwrap().status(), by_none);
    }
}
