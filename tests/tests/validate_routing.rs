//! An accepted path reaches the same handler however it was spelled, in axum and in tonic.

use std::{convert::Infallible, future::ready};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawPathParams},
    routing::{any, get},
};
use http::{Request, Response, StatusCode, header::LOCATION};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tonic::{body::Body as GrpcBody, service::Routes};
use tower::{Layer, Service, ServiceExt};
use tower_plugin_tests::paths::{Echo, spelled};
use tower_plugin_validate::{
    RuleSet, ValidateLayer,
    path::{NonCanonical, PathRules, canonical},
};

/// What of a path reached which handler: the route, and its captures decoded.
type Reached = Option<String>;

fn router() -> Router {
    let one = |name: &'static str| {
        get(
            move |Path(captures): Path<Vec<String>>, raw: RawPathParams| {
                let raw: Vec<_> = raw.iter().map(|(key, _)| key.to_owned()).collect();
                ready(format!("{name} {captures:?} {}", raw.len()))
            },
        )
    };
    let none = |name: &'static str| get(move || ready(name));
    Router::new()
        .route("/", none("root"))
        .route("/a", none("a"))
        .route("/a/", none("a/"))
        .route("/a/b.c", none("a/b.c"))
        .route("/caf%C3%A9", none("café"))
        .route("/users/{id}", one("user"))
        .route("/users/{id}/a", one("user's a"))
        .route("/files/{*path}", one("file"))
        .fallback(any(|| ready(StatusCode::NOT_FOUND)))
}

async fn reached<S, B>(service: S, path: &str) -> (StatusCode, Reached, Option<String>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: axum::body::HttpBody<Error: std::fmt::Debug>,
{
    let request = Request::get(path)
        .header("host", "a.example")
        .body(Body::empty());
    let Ok(request) = request else {
        // What no `http::Uri` holds, no server hands on.
        return (StatusCode::BAD_REQUEST, None, None);
    };
    let Ok(response) = service.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let location = parts
        .headers
        .get(LOCATION)
        .map(|l| l.to_str().unwrap().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    let ok = parts.status == StatusCode::OK;
    let body = ok.then(|| String::from_utf8(body.to_vec()).unwrap());
    (parts.status, body, location)
}

fn with(non_canonical: NonCanonical) -> ValidateLayer {
    let path = PathRules::http().with_non_canonical(non_canonical);
    ValidateLayer::new(RuleSet::http().with_path(path))
}

/// Decodes first and routes then, as some proxies and handlers do.
fn decoded_first(path: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail
            .get(..2)
            .and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        match escape.filter(|_| first == b'%') {
            Some(octet) => {
                octets.push(octet);
                rest = &tail[2..];
            }
            None => {
                octets.push(first);
                rest = tail;
            }
        }
    }
    octets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn axum_routes_an_accepted_path_as_its_canonical_form(path in spelled()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let rewriting = PathRules::http().with_non_canonical(NonCanonical::Rewrite);
            let accepted = canonical(&path, &rewriting).map(|path| path.as_str().to_owned());

            let rejecting = reached(with(NonCanonical::Reject).layer(router()), &path).await;
            let rewritten = reached(with(NonCanonical::Rewrite).layer(router()), &path).await;
            let redirected = reached(with(NonCanonical::Redirect).layer(router()), &path).await;
            let Ok(accepted) = accepted else {
                for (status, handler, _) in [rejecting, rewritten, redirected] {
                    prop_assert_eq!((status, handler), (StatusCode::BAD_REQUEST, None), "{}", path);
                }
                return Ok(());
            };
            // The bare router on the canonical form is what all must agree with.
            let plain = reached(router(), &accepted).await;
            prop_assert_eq!(&rewritten, &plain, "{}", path);
            if accepted == path {
                prop_assert_eq!(&rejecting, &plain);
                prop_assert_eq!(&redirected, &plain);
            } else {
                prop_assert_eq!(rejecting.0, StatusCode::BAD_REQUEST);
                prop_assert_eq!(redirected.0, StatusCode::PERMANENT_REDIRECT);
                prop_assert_eq!(redirected.2.as_deref(), Some(accepted.as_str()));
                // Followed, it leads to the same handler, and not to another redirect.
                let followed = reached(with(NonCanonical::Redirect).layer(router()), &accepted).await;
                prop_assert_eq!(&followed, &plain);
            }
            // Whoever decodes first sees the same segments.
            let once = decoded_first(&accepted);
            let slashes = once.iter().filter(|&&b| b == b'/').count();
            prop_assert_eq!(slashes, accepted.matches('/').count());
            Ok(())
        })?;
    }

    #[test]
    fn tonic_routes_an_accepted_path_as_its_canonical_form(
        service in prop::sample::select(vec!["/a.B", "/%61.B", "/a%2eB", "/a..B", "/A.B", "//a.B", "/a.B;x"]),
        method in prop::sample::select(vec!["/Get", "/%47et", "/get", "/Get/", "/..", "", "/Get?x", "//Get"]),
    ) {
        let path = format!("{service}{method}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let grpc = |non_canonical| {
                let rules = PathRules::grpc().with_non_canonical(non_canonical);
                ValidateLayer::new(RuleSet::grpc().with_path(rules))
            };
            let bare = path.split('?').next().unwrap();
            let rewriting = PathRules::grpc().with_non_canonical(NonCanonical::Rewrite);
            let accepted = canonical(bare, &rewriting).map(|path| path.as_str().to_owned());
            let rewritten = called(grpc(NonCanonical::Rewrite).layer(routes()), &path).await;
            let rejected = called(grpc(NonCanonical::Reject).layer(routes()), &path).await;
            let redirected = called(grpc(NonCanonical::Redirect).layer(routes()), &path).await;
            let Ok(accepted) = accepted else {
                for outcome in [rewritten, rejected, redirected] {
                    prop_assert_eq!(&outcome, "3", "{}", path);
                }
                return Ok(());
            };
            let plain = called(routes(), &accepted).await;
            prop_assert_eq!(&rewritten, &plain, "{}", path);
            // A caller of gRPC is not sent elsewhere.
            let other = if accepted == bare { plain } else { "3".to_owned() };
            prop_assert_eq!(&rejected, &other);
            prop_assert_eq!(&redirected, &other);
            Ok(())
        })?;
    }
}

/// What reached the service, or the gRPC status it was refused with.
async fn called<S, B>(service: S, path: &str) -> String
where
    S: Service<Request<GrpcBody>, Response = Response<B>, Error = Infallible>,
{
    let request = Request::post(path)
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(GrpcBody::empty())
        .unwrap();
    let Ok(response) = service.oneshot(request).await;
    let header = |name: &str| {
        response
            .headers()
            .get(name)?
            .to_str()
            .ok()
            .map(str::to_owned)
    };
    header("x-reached")
        .or_else(|| header("grpc-status"))
        .unwrap_or_default()
}

fn routes() -> Routes {
    Routes::new(Echo)
}

#[test]
fn the_router_of_these_tests_tells_spellings_apart() {
    // Without the layer, one path in two spellings reaches two handlers: what it is all about.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (status, handler, _) = reached(router(), "/a").await;
        assert_eq!((status, handler.as_deref()), (StatusCode::OK, Some("a")));
        assert_eq!(reached(router(), "/%61").await.0, StatusCode::NOT_FOUND);
        let (_, handler, _) = reached(router(), "/users/a%2Fb").await;
        assert_eq!(handler.as_deref(), Some("user [\"a/b\"] 1"));
        assert_eq!(called(routes(), "/a.B/Get").await, "/a.B/Get");
        assert_eq!(called(routes(), "/%61.B/Get").await, "12");
    });
}
