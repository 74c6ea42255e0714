//! Paths through `ValidateLayer` and then permissions, which judge them by rules of their own: the two agree.

use std::convert::Infallible;

use axum::{Router, body::Body, routing::any};
use http::{Request, Response, StatusCode};
use proptest::prelude::*;
use tonic::{body::Body as GrpcBody, service::Routes};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_plugin_auth::{
    AuthorizeLayer, Principal,
    authorize::{Callers, Permission, Permissions},
};
use tower_plugin_tests::paths::{Echo, spelled};
use tower_plugin_validate::{
    CanonicalPath, RuleSet, ValidateLayer,
    path::{EmptySegments, NonCanonical, PathRules, canonical},
};

/// What the caller of these tests may do: some of the paths that [`spelled`] makes.
fn some() -> Permissions {
    let paths = [
        "/a",
        "/users/*",
        "/files/**",
        "/caf%C3%A9",
        "/x%20y/**",
        "/a;x",
    ];
    paths
        .into_iter()
        .fold(Permissions::new(), |permissions, path| {
            permissions.permit(Callers::any(), format!("* {path}").parse().unwrap())
        })
}

fn caller() -> Principal {
    Principal::new("plugin", "cache")
}

/// Whether permissions take the path for one that every reader understands alike.
fn is_plain(path: &str) -> bool {
    let all = ["* /", "* /**"]
        .into_iter()
        .fold(Permissions::new(), |all, every| {
            all.permit(Callers::any(), every.parse().unwrap())
        });
    all.permits(&caller(), "GET", path)
}

/// Where permissions are the stricter ones: an escape that decodes to `%`, and a last segment that is nothing but
/// parameters. Nobody is permitted such a path, whatever it means.
fn is_for_nobody(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    path.contains("%25") || last.starts_with(';') || last.starts_with("%3B")
}

fn rules(non_canonical: NonCanonical) -> PathRules {
    PathRules::http()
        .with_empty_segments(EmptySegments::Reject)
        .with_non_canonical(non_canonical)
}

/// Any octets that a URI can hold, between pieces that mean something.
fn any_path() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "/",
        "//",
        ".",
        "..",
        "%2E",
        "%2e",
        "%2F",
        "%5C",
        "%00",
        "%7F",
        "%C2%80",
        "%C2%85",
        "%C0%AF",
        "%ED%A0%80",
        "%F4%90%80%80",
        "%EF%BC%8F",
        "%E2%80%AE",
        "%25",
        "%252F",
        "%",
        "%4",
        "%3B",
        ";",
        "%20",
        "+",
        ":",
        "@",
        "a",
        "~",
        "%7E",
        "%41",
        "é",
        "!$&'()*,=",
        "[",
        "%5B",
        "\"",
        "|",
        "\\",
    ]);
    let odd = prop::collection::vec(odd, 0..6).prop_map(|parts| format!("/{}", parts.concat()));
    prop_oneof![
        spelled(),
        odd,
        (spelled(), "[ -~]{0,6}").prop_map(|(a, b)| a + &b)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_accepted_is_plain_in_its_canonical_form_and_only_in_that(path in any_path()) {
        let Ok(accepted) = canonical(&path, &rules(NonCanonical::Rewrite)) else {
            return Ok(());
        };
        let form = accepted.as_str();
        prop_assert_eq!(is_plain(form), !is_for_nobody(form), "{} of {}", form, path);
        // In any other spelling permissions refuse it, so that none of them is permitted what another is not.
        prop_assert!(form == path || !is_plain(&path), "{}", path);
        prop_assert!(form == path || !some().permits(&caller(), "GET", &path), "{}", path);
    }

    #[test]
    fn what_permissions_refuse_to_read_is_refused_or_rewritten_before_them(path in any_path()) {
        if is_plain(&path) {
            return Ok(());
        }
        match canonical(&path, &rules(NonCanonical::Rewrite)) {
            Err(_) => {}
            Ok(accepted) => prop_assert!(
                accepted.as_str() != path || is_for_nobody(&path),
                "{} passes as it is",
                path
            ),
        }
        let rejected = canonical(&path, &rules(NonCanonical::Reject)).is_err();
        prop_assert!(rejected || is_for_nobody(&path), "{}", path);
    }

    #[test]
    fn behind_the_layer_a_path_is_permitted_if_its_canonical_form_is(path in any_path()) {
        let Ok(request) = Request::get(&path).header("host", "a.example").body(Body::empty()) else {
            return Ok(());
        };
        // Of what is no path of its own, a URI makes something else.
        prop_assume!(request.uri().path() == path);
        let form = canonical(&path, &rules(NonCanonical::Rewrite));
        let expected = match form {
            Err(_) => (StatusCode::BAD_REQUEST, None),
            Ok(form) if some().permits(&caller(), "GET", form.as_str()) => {
                (StatusCode::OK, Some(form.as_str().to_owned()))
            }
            Ok(_) => (StatusCode::FORBIDDEN, None),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reached = runtime.block_on(reached(http(), request));
        prop_assert_eq!(reached, expected, "{}", path);
    }
}

/// A router that says which path it was reached by, behind permissions, behind the layer.
fn http() -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> {
    let says = any(async |request: Request<Body>| {
        let checked = request.extensions().get::<CanonicalPath>().unwrap();
        assert_eq!(checked.as_str(), request.uri().path());
        [("x-reached", request.uri().path().to_owned())]
    });
    let rules = RuleSet::http()
        .with_path(rules(NonCanonical::Rewrite))
        .with_canonical_path(true);
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(ValidateLayer::new(rules))
        .map_request(known)
        .layer(AuthorizeLayer::new(some()));
    stack.service(Router::new().fallback(says))
}

/// In place of an `AuthLayer`.
fn known<B>(mut request: Request<B>) -> Request<B> {
    request.extensions_mut().insert(caller());
    request
}

async fn reached<S, A, B>(service: S, request: Request<A>) -> (StatusCode, Option<String>)
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
{
    let Ok(response) = service.oneshot(request).await;
    let path = response.headers().get("x-reached");
    let path = path.map(|path| path.to_str().unwrap().to_owned());
    (response.status(), path)
}

#[tokio::test]
async fn in_axum_no_spelling_gets_by_the_permissions_of_its_path() {
    let cases = [
        ("/a", 200, Some("/a")),
        ("/%61", 200, Some("/a")),
        ("/users/%31", 200, Some("/users/1")),
        ("/caf%c3%a9", 200, Some("/caf%C3%A9")),
        ("/files/x/%79", 200, Some("/files/x/y")),
        // Nobody may, however it is spelled.
        ("/admin", 403, None),
        ("/%61dmin", 403, None),
        ("/users/1/%61", 403, None),
        // These would be `/admin` to somebody.
        ("/files/../admin", 400, None),
        ("/files/%2e%2e/admin", 400, None),
        ("/files/..%2Fadmin", 400, None),
        ("/files/..;x/admin", 400, None),
        ("/files//admin", 400, None),
    ];
    for (path, status, expected) in cases {
        let request = Request::get(path).header("host", "a.example");
        let (is, by) = reached(http(), request.body(Body::empty()).unwrap()).await;
        assert_eq!((is.as_u16(), by.as_deref()), (status, expected), "{path}");
    }
}

#[tokio::test]
async fn in_tonic_no_spelling_gets_by_the_permissions_of_its_method() {
    let permissions =
        Permissions::new().permit(Callers::any(), Permission::rpc("a.B", "Get").unwrap());
    let rules = PathRules::grpc().with_non_canonical(NonCanonical::Rewrite);
    let stack = ServiceBuilder::new()
        .layer(ValidateLayer::new(RuleSet::grpc().with_path(rules)))
        .map_request(known)
        .layer(AuthorizeLayer::new(permissions));
    let service = stack.service(Routes::new(Echo));
    let cases = [
        ("/a.B/Get", Ok("/a.B/Get")),
        ("/%61.B/%47et", Ok("/a.B/Get")),
        ("/a.B/Put", Err("7")),
        ("/a.B/%50ut", Err("7")),
        ("/a.B/get", Err("7")),
        ("/a.B/Get/../Put", Err("3")),
        ("/a.B/Get/", Err("3")),
        ("//a.B/Get", Err("3")),
        ("/a.B/Get%2FPut", Err("3")),
    ];
    for (path, expected) in cases {
        let request = Request::post(path)
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc");
        let request = request.body(GrpcBody::empty()).unwrap();
        let Ok(response) = service.clone().oneshot(request).await;
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        let reached = header("x-reached").ok_or(header("grpc-status").unwrap_or_default());
        assert_eq!(reached, expected, "{path}");
    }
}
