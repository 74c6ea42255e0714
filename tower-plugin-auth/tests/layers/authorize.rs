//! `RequireLayer`.

use std::{io, sync::atomic::Ordering};

use http::{Method, Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use tower::{Layer, ServiceExt, service_fn};
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, ManualClock, Principal, Realm, RequireLayer,
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
