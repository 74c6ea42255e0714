//! A random secret in every place a caller can put one: neither a response nor a log repeats it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    body::Body,
    extract::{Path, Query},
    routing::{get, post},
};
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower::{ServiceBuilder, ServiceExt};
use tower_plugin_validate::{
    BodyGuardLayer, SanitizeErrorsLayer,
    payload::{Check, Checked, Garde},
};
use validator::Validate;

/// Every rule of `validator` that can be broken here, and a custom one that quotes.
#[derive(Debug, Default, Deserialize, Validate)]
#[serde(default)]
struct Everything {
    #[validate(length(max = 3))]
    length: String,
    #[validate(email)]
    email: String,
    #[validate(url)]
    url: String,
    #[validate(must_match(other = "email"))]
    must_match: String,
    #[validate(contains(pattern = "???"))]
    contains: String,
    #[validate(does_not_contain(pattern = "s3"))]
    does_not_contain: String,
    #[validate(custom(function = "quotes"))]
    custom: String,
    #[validate(range(max = 3))]
    range: u64,
    number: u8,
    choice: Choice,
    #[validate(nested)]
    nested: Vec<Self>,
    map: BTreeMap<String, u8>,
}

#[derive(Debug, Default, Deserialize)]
enum Choice {
    #[default]
    A,
    #[expect(dead_code, reason = "read by serde alone")]
    B(u8),
}

fn quotes(value: &str) -> Result<(), validator::ValidationError> {
    let mut error = validator::ValidationError::new("custom");
    error.code = value.to_owned().into();
    error.message = Some(format!("{value} is wrong").into());
    error.add_param("min".into(), &value);
    Err(error)
}

#[derive(Debug, Deserialize, garde::Validate)]
#[serde(default)]
#[garde(allow_unvalidated)]
#[derive(Default)]
struct Guarded {
    #[garde(length(max = 3))]
    length: String,
    #[garde(custom(quotes_garde))]
    custom: String,
    #[garde(range(max = self.number))]
    range: u64,
    number: u64,
    #[garde(matches(custom))]
    matches: String,
    #[garde(dive)]
    nested: Vec<Self>,
}

fn quotes_garde(value: &str, _: &()) -> garde::Result {
    Err(garde::Error::new(format!("\u{1}LENGTH{value}\u{1}{value}")))
}

#[derive(Debug, Deserialize, Validate)]
struct Flat {
    #[validate(length(max = 3))]
    text: String,
    number: u8,
}

fn app() -> Router {
    async fn json<T: std::fmt::Debug + Check>(Checked(Json(_)): Checked<Json<T>>) {}
    async fn path(Checked(Path(flat)): Checked<Path<Flat>>) -> String {
        format!("{}{}", flat.text.len(), flat.number)
    }
    async fn form(Checked(Form(_)): Checked<Form<Flat>>) {}
    async fn query(Checked(Query(_)): Checked<Query<Flat>>) {}
    Router::new()
        .route("/validator", post(json::<Everything>))
        .route("/garde", post(json::<Garde<Guarded>>))
        .route("/form", post(form))
        .route("/query", get(query))
        .route("/path/{text}/{number}", get(path))
        .layer(
            ServiceBuilder::new()
                .layer(SanitizeErrorsLayer::new())
                .layer(BodyGuardLayer::http()),
        )
}

/// The secret under each name a request may use, and as such a name; in JSON that is right and that is not.
fn requests(secret: &str, digits: u64) -> Vec<Request<Body>> {
    let post = |path: &str, content_type: &str, body: String| {
        let request = Request::post(path).header("content-type", content_type);
        request.body(Body::from(body)).unwrap()
    };
    let get = |target: String| Request::get(target).body(Body::empty()).unwrap();
    let mut requests = Vec::new();
    let fields = [
        "length",
        "email",
        "url",
        "must_match",
        "contains",
        "does_not_contain",
        "custom",
        "range",
        "number",
        "choice",
        "nested",
        "map",
        "matches",
    ];
    let values = [
        json!(secret),
        json!(digits),
        json!([secret]),
        json!({secret: secret}),
        json!({secret: [null]}),
    ];
    for path in ["/validator", "/garde"] {
        for field in fields {
            for value in &values {
                let object: Map<_, _> = [(field.to_owned(), value.clone())].into_iter().collect();
                let nested = json!({"nested": [{}, object.clone()]});
                for body in [Value::Object(object), nested] {
                    requests.push(post(path, "application/json", body.to_string()));
                    let torn = body.to_string();
                    requests.push(post(
                        path,
                        "application/json",
                        torn[..torn.len() - 1].to_owned(),
                    ));
                    let connect = Request::post(path)
                        .header("content-type", "application/json")
                        .header("connect-protocol-version", "1");
                    requests.push(connect.body(Body::from(body.to_string())).unwrap());
                }
            }
        }
        requests.push(post(
            path,
            "application/json",
            json!({secret: secret}).to_string(),
        ));
        requests.push(post(path, "application/json", secret.to_owned()));
        // One field is the bound of the other.
        let bound = json!({"range": digits + 1, "number": digits});
        requests.push(post(path, "application/json", bound.to_string()));
        requests.push(post(path, secret, "{}".to_owned()));
    }
    let form = "application/x-www-form-urlencoded";
    for (text, number) in [(secret, "1"), ("a", secret), (secret, secret)] {
        requests.push(post(
            "/form",
            form,
            format!("text={text}&number={number}&{secret}={secret}"),
        ));
        requests.push(get(format!(
            "/query?text={text}&number={number}&{secret}={secret}"
        )));
        requests.push(get(format!("/path/{text}/{number}")));
    }
    requests.push(get(format!("/query?{secret}")));
    requests
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_in_any_place_is_nowhere_in_responses_or_logs(
        // Not a name, and not a number one could meet by chance.
        secret in "s3cr3t_[a-z0-9]{12}",
        digits in 1_000_000_000_000_u64..9_000_000_000_000_000,
    ) {
        let (log, _guard) = log();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for request in requests(&secret, digits) {
            let shown = format!("{} {}", request.method(), request.uri());
            let text = runtime.block_on(async {
                let response = app().oneshot(request).await.unwrap();
                let (parts, body) = response.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                format!("{} {:?} {}", parts.status, parts.headers, String::from_utf8_lossy(&body))
            });
            for secret in [secret.clone(), digits.to_string()] {
                prop_assert!(!text.contains(&secret), "{shown}: {text}");
            }
        }
        let log = log.text();
        prop_assert!(log.contains("request refused"), "something is logged");
        prop_assert!(!log.contains(&secret) && !log.contains(&digits.to_string()), "{log}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}
