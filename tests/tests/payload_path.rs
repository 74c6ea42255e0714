//! Parameters of a path, checked: what is read of them, and what a caller is told.

use std::{collections::BTreeMap, fmt::Debug};

use axum::{Router, body::Body, extract::Path, routing::get};
use http::Request;
use http_body_util::BodyExt;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tower::ServiceExt;
use tower_plugin_validate::payload::{Check, Checked, Violations};

/// Read, and of no rule.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Any<T>(T);

impl<T> Check for Any<T> {
    fn check(&self) -> Result<(), Violations> {
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown")]
struct Item {
    kind: Kind,
    size: u8,
    slug: Slug,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Apple,
    Pear,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
#[expect(dead_code, reason = "shown")]
struct Slug(String);

impl TryFrom<String> for Slug {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.bytes().all(|byte| byte.is_ascii_lowercase()) {
            true => Ok(Self(text)),
            false => Err(format!("{text} is no slug")),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "shown")]
struct Strict {
    size: u8,
}

/// The status, and of what is wrong first, the field and the reason.
type Refused = (u16, String, String);

/// What a handler of `route` is given for `path`.
async fn ask<T>(route: &str, path: &str) -> Result<String, Refused>
where
    T: Debug + DeserializeOwned + Send + 'static,
{
    let show = async |Checked(Path(Any(value))): Checked<Path<Any<T>>>| format!("{value:?}");
    let app = Router::new().route(route, get(show));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    if status == 200 {
        return Ok(text);
    }
    assert!(!text.contains("hunter2"), "{text}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    let error = &problem["errors"][0];
    let of = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    Err((status, of("field"), of("code")))
}

fn told(field: &str, reason: &str) -> Result<String, Refused> {
    Err((400, field.to_owned(), reason.to_owned()))
}

/// A mistake of the program is not blamed on the caller.
fn misrouted() -> Result<String, Refused> {
    Err((500, String::new(), String::new()))
}

const ITEM: &str = "/{kind}/{size}/{slug}";

#[tokio::test]
async fn parameters_are_read_into_whatever_fits_the_route() {
    let cases = [
        (
            ask::<Item>(ITEM, "/pear/7/plain").await,
            r#"Item { kind: Pear, size: 7, slug: Slug("plain") }"#,
        ),
        (
            ask::<(Kind, u8, String)>(ITEM, "/apple/7/a%20b%2Fc").await,
            r#"(Apple, 7, "a b/c")"#,
        ),
        (ask::<u32>("/{id}", "/7").await, "7"),
        (ask::<char>("/{id}", "/%C3%A9").await, "'é'"),
        (ask::<String>("/{*rest}", "/a/b%2e/c").await, r#""a/b./c""#),
        (
            ask::<BTreeMap<String, u8>>("/{a}/{b}", "/1/2").await,
            r#"{"a": 1, "b": 2}"#,
        ),
        (
            ask::<Vec<String>>("/{a}/{b}", "/1/2").await,
            r#"["1", "2"]"#,
        ),
    ];
    for (answer, shown) in cases {
        assert_eq!(answer.as_deref(), Ok(shown));
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_of_its_type_is_named() {
    for (path, field, reason) in [
        ("/hunter2/7/plain", "path.kind", "ENUM"),
        ("/pear/hunter2/plain", "path.size", "VALUE"),
        ("/pear/256/plain", "path.size", "VALUE"),
        ("/pear/7/hunter2", "path.slug", "VALUE"),
        ("/pear/7/%ff", "path.slug", "VALUE"),
        ("/pear/%20/plain", "path.size", "VALUE"),
    ] {
        let answer = ask::<Item>(ITEM, path).await;
        assert_eq!(answer, told(field, reason), "{path}");
    }
    for (path, field, reason) in [
        ("/hunter2/7/plain", "path[0]", "ENUM"),
        ("/pear/hunter2/plain", "path[1]", "VALUE"),
        ("/pear/7/hunter2", "path[2]", "VALUE"),
    ] {
        let answer = ask::<(Kind, u8, Slug)>(ITEM, path).await;
        assert_eq!(answer, told(field, reason), "{path}");
    }
    let answer = ask::<BTreeMap<String, u8>>("/{a}/{b}", "/1/hunter2").await;
    assert_eq!(answer, told("path.b", "VALUE"));
}

#[tokio::test]
async fn a_parameter_that_stands_alone_has_its_name_from_the_route() {
    let answers = [
        (ask::<u32>("/{id}", "/hunter2").await, "VALUE"),
        (ask::<u32>("/{id}", "/%ff").await, "VALUE"),
        (ask::<Kind>("/{id}", "/hunter2").await, "ENUM"),
        (ask::<Slug>("/{id}", "/hunter2").await, "VALUE"),
    ];
    for (answer, reason) in answers {
        assert_eq!(answer, told("path.id", reason));
    }
}

#[tokio::test]
async fn a_type_that_does_not_fit_its_route_is_no_fault_of_the_callers() {
    let answers = [
        // Too few and too many, whatever they hold.
        ask::<(u8, u8)>("/{id}", "/7").await,
        ask::<u8>("/{a}/{b}", "/7/7").await,
        ask::<Item>("/{kind}/{size}", "/pear/7").await,
        ask::<Strict>("/{size}/{more}", "/7/x").await,
        // Of no type that a path has.
        ask::<Vec<Vec<u8>>>("/{id}", "/7").await,
        ask::<Option<u8>>("/{id}", "/7").await,
    ];
    for answer in answers {
        assert_eq!(answer, misrouted());
    }
}
