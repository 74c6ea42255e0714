use proptest::prelude::*;

use super::*;

fn caller() -> Principal {
    Principal::new("runtime", "cache-1")
        .with_attribute("role", "admin")
        .with_attribute("services", "cache,kv.v1.Store logger")
}

fn permission(text: &str) -> Permission {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_permission_covers_these_requests_and_no_others() {
    let cases = [
        ("GET /a", "GET", "/a", true),
        ("GET /a", "get", "/a", false),
        ("GET /a", "POST", "/a", false),
        ("GET /a", "HEAD", "/a", false),
        ("GET|POST /a", "POST", "/a", true),
        ("* /a", "PROPFIND", "/a", true),
        ("GET /a", "GET", "/A", false),
        ("GET /a", "GET", "/a/", false),
        ("GET /a", "GET", "/a/b", false),
        ("GET /a", "GET", "/ab", false),
        ("GET /a/", "GET", "/a/", true),
        ("GET /a/", "GET", "/a", false),
        ("GET /", "GET", "/", true),
        ("GET /", "GET", "/a", false),
        ("GET /*", "GET", "/a", true),
        ("GET /*", "GET", "/", false),
        ("GET /*", "GET", "/a/b", false),
        ("GET /a/*/c", "GET", "/a/b/c", true),
        ("GET /a/*/c", "GET", "/a/b/d", false),
        ("GET /a/*/c", "GET", "/a/c", false),
        ("GET /a/**", "GET", "/a/b/c", true),
        ("GET /a/**", "GET", "/a/", true),
        ("GET /a/**", "GET", "/a", false),
        ("GET /a/**", "GET", "/ab", false),
        ("GET /**", "GET", "/", true),
        ("GET /**", "GET", "/a/b", true),
        ("GET /a%20b", "GET", "/a%20b", true),
        ("GET /a@b", "GET", "/a%40b", false),
        ("GET /a;v=1", "GET", "/a;v=1", true),
        ("GET /a", "GET", "/a;v=1", false),
        ("GET /{services}/get", "GET", "/cache/get", true),
        ("GET /{services}/get", "GET", "/kv.v1.Store/get", true),
        ("GET /{services}/get", "GET", "/secrets/get", false),
        ("GET /{services}/get", "GET", "/cach/get", false),
        (
            "GET /{services}/get",
            "GET",
            "/cache,kv.v1.Store/get",
            false,
        ),
        ("GET /{unknown}/get", "GET", "/cache/get", false),
        ("GET /{services}/**", "GET", "/logger/a/b", true),
    ];
    for (text, method, path, expected) in cases {
        let permissions = Permissions::new().permit(Callers::any(), permission(text));
        assert_eq!(
            permissions.permits(&caller(), method, path),
            expected,
            "{text}: {method} {path}"
        );
    }
}

/// F23, F45, F56: what another reader takes for a different path is not permitted by any pattern.
#[test]
fn f56_an_ambiguous_path_is_permitted_by_nothing() {
    let everything = Permissions::new().permit(Callers::any(), permission("* /**"));
    for path in [
        "",
        "a",
        "*",
        "//",
        "//a",
        "/a//b",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/.",
        "/...",
        "/a/..;/b",
        "/a/..;x/b",
        "/a/;x/b",
        "/;x",
        "/a/%2e%2e/b",
        "/a/%2E%2E/b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00b",
        "/a\0b",
        "/a\nb",
        "/a%0Ab",
        "/a%7Fb",
        "/%61",
        "/%41",
        "/%c3%a9",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%2 ",
        "/a%252e",
        "/a%25",
        "/a b",
        "/a\"b",
        "/a<b",
        "/a?b",
        "/a#b",
        "/a[b",
        "/a{b}",
        "/a|b",
        "/a^b",
        "/a`b",
        "/\u{e9}",
        "/a\u{ff0f}b",
        // Overlong `.` and `/`, half of a character, half of a surrogate, beyond the last one.
        "/%C0%AE%C0%AE/b",
        "/a%C0%AFb",
        "/a%E0%80%AFb",
        "/a%F0%80%80%AFb",
        "/a%C3",
        "/a%C3b",
        "/a%C3/%A9",
        "/a%E2%82",
        "/a%A9",
        "/a%FF",
        "/a%ED%A0%80",
        "/a%F4%90%80%80",
        // Controls of ISO 8859-1, the next line among them.
        "/a%C2%80",
        "/a%C2%85b",
        "/a%C2%9F",
        "/a/..%3B/b",
        "/a/..%3Bx/b",
        "/a/.%3B/b",
        "/a/%3Bx/b",
        "/a/..;%3B/b",
    ] {
        assert!(!everything.permits(&caller(), "GET", path), "{path:?}");
    }
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a..b",
        "/.well-known/x",
        "/a%20b",
        "/%C3%A9",
        "/%C2%A0",
        "/%E2%82%AC",
        "/%F0%9F%A6%80",
        "/a%3Bb",
        "/a..%3Bb",
        "/~a",
    ] {
        assert!(everything.permits(&caller(), "GET", path), "{path:?}");
    }
}

#[test]
fn a_permission_is_for_these_callers_and_no_others() {
    let cases = [
        (Callers::any(), true),
        (Callers::kind("runtime"), true),
        (Callers::kind("Runtime"), false),
        (Callers::kind("mtls-dns"), false),
        (Callers::principal("runtime", "cache-1"), true),
        (Callers::principal("api-key", "cache-1"), false),
        (Callers::principal("runtime", "cache-12"), false),
        (Callers::attribute("role", "admin"), true),
        (Callers::attribute("role", "adm"), false),
        (Callers::attribute("rule", "admin"), false),
        (Callers::listed("services", "logger"), true),
        (Callers::listed("services", "log"), false),
        (Callers::listed("services", ""), false),
        (Callers::listed("services", "cache,kv.v1.Store"), false),
    ];
    for (callers, expected) in cases {
        let permissions = Permissions::new().permit(callers.clone(), permission("* /**"));
        assert_eq!(
            permissions.permits(&caller(), "GET", "/a"),
            expected,
            "{callers:?}"
        );
    }
}

/// The reference's list of services that a plugin may register. Where none was set it allowed everything;
/// here nothing is allowed that was not. It promised a wildcard and compared it as it stood.
#[test]
fn only_the_listed_services_are_listed() {
    struct Case {
        list: Option<&'static str>,
        service: &'static str,
        expected: bool,
    }
    const fn case(list: Option<&'static str>, service: &'static str, expected: bool) -> Case {
        Case {
            list,
            service,
            expected,
        }
    }
    for Case {
        list,
        service,
        expected,
    } in [
        case(Some("cache logger"), "cache", true),
        case(Some("cache"), "secrets", false),
        case(None, "cache", false),
        case(Some(""), "cache", false),
        case(Some(""), "", false),
        case(Some(" , "), "", false),
        case(Some("cache logger storage"), "storage", true),
        case(Some("cache logger storage"), "secrets", false),
        case(Some("*"), "secrets", true),
        case(Some("cache *"), "secrets", true),
        case(Some("cach*"), "cache", false),
        case(Some("cache"), "*", false),
    ] {
        let mut principal = Principal::new("runtime", "cache-1");
        if let Some(list) = list {
            principal = principal.with_attribute("services", list);
        }
        assert_eq!(
            is_listed(&principal, "services", service),
            expected,
            "{list:?} {service}"
        );
    }
}

#[test]
fn an_rpc_is_a_post_to_its_path() {
    let get = Permission::rpc("cache.v1.Cache", "Get").unwrap();
    assert_eq!(get, permission("POST /cache.v1.Cache/Get"));
    let any = Permission::rpc("{services}", "*").unwrap();
    assert_eq!(any, permission("POST /{services}/*"));

    let permissions = Permissions::new().permit(Callers::any(), any);
    assert!(permissions.permits(&caller(), "POST", "/kv.v1.Store/Get"));
    assert!(!permissions.permits(&caller(), "GET", "/kv.v1.Store/Get"));
    assert!(!permissions.permits(&caller(), "POST", "/kv.v1.Store/Get/"));
    assert!(!permissions.permits(&caller(), "POST", "/other.v1.Store/Get"));
}

#[test]
fn what_is_no_permission_is_not_taken_for_one() {
    use InvalidPermission::{Attribute, Form, Method, Parameter, Path, Rpc, Wildcard};
    for (text, expected) in [
        ("", Form),
        ("GET", Form),
        ("/a", Form),
        ("GET a", Form),
        ("GET  /a", Form),
        (" /a", Method),
        ("get /a", Method),
        ("GET| /a", Method),
        ("GET|* /a", Method),
        ("GET /a*", Wildcard),
        ("GET /a**", Wildcard),
        ("GET /**/a", Wildcard),
        ("GET /***", Wildcard),
        ("GET /{}", Attribute),
        ("GET /{a", Attribute),
        ("GET /{a}b", Attribute),
        ("GET /{a b}", Attribute),
        ("GET /a/:id", Parameter),
        ("GET //a", Path),
        ("GET /a//b", Path),
        ("GET /a//**", Path),
        ("GET /..", Path),
        ("GET /a/./b", Path),
        ("GET /%61", Path),
        ("GET /a%2fb", Path),
        ("GET /a?b", Path),
        ("GET /a b", Path),
    ] {
        assert_eq!(text.parse::<Permission>(), Err(expected), "{text}");
    }
    for (service, method) in [
        ("", "Get"),
        ("cache", ""),
        ("cache..v1", "Get"),
        ("cache/v1", "Get"),
        ("*", "Get"),
        ("cache", "Get*"),
        ("cache", "**"),
        ("cache", "Get/"),
    ] {
        assert_eq!(
            Permission::rpc(service, method),
            Err(Rpc),
            "{service} {method}"
        );
    }
}

#[test]
fn no_permissions_permit_nobody_anything() {
    assert!(!Permissions::new().permits(&caller(), "GET", "/"));
}

proptest! {
    #[test]
    fn neither_parsing_nor_deciding_panics(text in ".*", method in ".*", path in ".*") {
        if let Ok(permission) = text.parse::<Permission>() {
            let permissions = Permissions::new().permit(Callers::any(), permission);
            let _ = permissions.permits(&caller(), &method, &path);
        }
        let everything = Permissions::new().permit(Callers::any(), permission("* /**"));
        let _ = everything.permits(&caller(), &method, &path);
    }

    #[test]
    fn what_is_permitted_stays_below_the_pattern(path in "/(a|b|\\.|%2e|%2F|;|/|\\\\){0,8}") {
        let below = Permissions::new().permit(Callers::any(), permission("GET /a/**"));
        if below.permits(&caller(), "GET", &path) {
            prop_assert!(path.starts_with("/a/"));
            // However often it is decoded, and whether or not parameters are cut off.
            let decoded = path.replace("%2e", ".").replace("%2F", "/");
            let normal = decoded.split('/').map(|s| s.split(';').next().unwrap());
            prop_assert!(normal.into_iter().all(|s| s != ".." && s != "."));
        }
    }
}

#[test]
fn a_permission_is_the_same_after_it_was_written_down() {
    for text in [
        "* /**",
        "GET /",
        "GET|HEAD /a/",
        "* /a/*/{services}/**",
        "POST /s.v1.S/*",
        "PROPFIND /a%20b;v=1",
    ] {
        let permission = permission(text);
        assert_eq!(permission.to_string(), text);
        assert_eq!(permission.to_string().parse(), Ok(permission));
    }
}
