//! Request heads, and the rules for them.

use http::{HeaderName, HeaderValue, Request, Uri};
use tower_plugin_validate::{
    format::Format,
    metadata::{Rule, Schema},
};

pub(super) fn schema() -> Schema {
    let schema = Schema::builder()
        .key("x-request-id", Rule::from(Format::Uuid).required())
        .key("x-tenant-id", Rule::from(Format::Uuid).required())
        .key("x-plugin-version", Format::Semver)
        .key("x-plugin-runtime-id", Format::ServiceType)
        .key("x-region", Rule::one_of(["ap", "eu", "us"]))
        .key("x-retry", Rule::integer(0..=10))
        .key("x-contact", Format::Email)
        .prefix("x-plugin-", Rule::text());
    schema.build().expect("a schema")
}

pub(super) fn twenty() -> Request<()> {
    request(TWENTY.iter().copied())
}

/// The same, with five values that break their rules.
pub(super) fn five_wrong() -> Request<()> {
    let wrong = |name| WRONG.iter().find(|wrong| wrong.0 == name).copied();
    request(TWENTY.iter().map(|field| wrong(field.0).unwrap_or(*field)))
}

/// As much as passes: 100 fields, a header list of 16 KiB, every value with a rule.
pub(super) fn hundred() -> Request<()> {
    let mut request = request(TWENTY.iter().copied());
    let headers = request.headers_mut();
    for i in headers.len()..100 {
        let name = HeaderName::try_from(format!("x-plugin-metadata-{i:02}")).expect("a name");
        let value = HeaderValue::try_from("v".repeat(135)).expect("a value");
        headers.insert(name, value);
    }
    let size: usize = headers
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len() + 32)
        .sum();
    assert!((16_000..=16_384).contains(&size), "{size}");
    request
}

fn request(fields: impl Iterator<Item = (&'static str, &'static str)>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static(PATH);
    // A server has left something there before, so that the map exists.
    request.extensions_mut().insert(1_u8);
    for (name, value) in fields {
        let name = HeaderName::from_static(name);
        request
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    request
}

pub(super) const PATH: &str = "/api/v1/orders/7b0a9a3e-8a86-4f4f/items.json";

pub(super) const TWENTY: [(&str, &str); 20] = [
    ("host", "api.example.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
    ),
    ("accept", "application/json"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    (
        "authorization",
        "Bearer 0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
    ("content-type", "application/json"),
    ("content-length", "1234"),
    ("origin", "https://app.example.com"),
    ("cookie", "session=0123456789abcdef; theme=dark"),
    ("x-forwarded-for", "203.0.113.7, 198.51.100.4"),
    ("x-forwarded-proto", "https"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("x-request-id", "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11"),
    ("x-tenant-id", "1c2c7b7e-52a5-4a0a-8a5e-3a3c8ef3c9d2"),
    ("x-plugin-version", "1.14.2-rc.1"),
    ("x-plugin-runtime-id", "logger-0123456789abcdef"),
    ("x-region", "eu"),
    ("x-retry", "3"),
    ("x-contact", "ops.team@plugins.example.com"),
];

const WRONG: [(&str, &str); 5] = [
    ("x-tenant-id", "1c2c7b7e52a54a0a8a5e3a3c8ef3c9d2"),
    ("x-plugin-version", "1.14"),
    ("x-region", "mars"),
    ("x-retry", "11"),
    ("x-contact", "ops.team@localhost"),
];
