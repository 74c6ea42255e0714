//! The same checks with regular expressions, and with the derives of `validator` and `garde`.

use std::{hint::black_box, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use regex::bytes::{Regex, RegexSet};
use validator::Validate;

use super::heads::PATH;
use crate::runner::{Contender, now};

/// Sizes, one expression for the value of each field, one for the path.
pub(super) fn regex_per_value(request: Request<()>) -> Contender {
    let compile = |text: &str| Regex::new(text).expect("an expression");
    let rules = [
        ("x-request-id", UUID),
        ("x-tenant-id", UUID),
        ("x-plugin-version", SEMVER),
        ("x-plugin-runtime-id", NAME),
        ("x-region", "^(?:ap|eu|us)$"),
        ("x-retry", "^(?:[0-9]|10)$"),
        ("x-contact", EMAIL),
    ];
    let rules = rules.map(|(name, text)| (name, compile(text)));
    let any = compile(r"^[\t\x20-\x7e]*$");
    let path = compile(PATH_RULE);
    paced(move || {
        let headers = black_box(request.headers());
        let mut total = 0;
        for (name, value) in headers {
            total += name.as_str().len() + value.len() + 32;
            let own = rules.iter().find(|(known, _)| *known == name.as_str());
            let rule = own.map_or(&any, |(_, rule)| rule);
            assert!(value.len() <= 8192 && rule.is_match(value.as_bytes()));
        }
        assert!(headers.len() <= 100 && total <= 16_384);
        assert!(path.is_match(request.uri().path().as_bytes()));
    })
}

pub(super) fn regex_path(text: &'static str) -> Contender {
    assert_eq!(text, PATH);
    // What must be there, and what must not: one expression would need to look around.
    let shape = Regex::new(PATH_RULE).expect("an expression");
    let dots = RegexSet::new([r"/\.{1,2}(?:[/;]|$)", "//", r"%(?:2[eEfF]|5[cC]|25|00)"]);
    let dots = dots.expect("expressions");
    paced(move || {
        let path = black_box(text).as_bytes();
        assert!(shape.is_match(path) && !dots.is_match(path));
    })
}

/// The fields that have rules, as a struct. Both derives are given the same expressions.
#[derive(Validate, garde::Validate)]
struct Fields<'a> {
    #[validate(regex(path = *rules::UUID))]
    #[garde(pattern(rules::UUID))]
    request_id: &'a str,
    #[validate(regex(path = *rules::UUID))]
    #[garde(pattern(rules::UUID))]
    tenant_id: &'a str,
    #[validate(regex(path = *rules::SEMVER))]
    #[garde(pattern(rules::SEMVER))]
    plugin_version: &'a str,
    #[validate(regex(path = *rules::NAME))]
    #[garde(pattern(rules::NAME))]
    runtime_id: &'a str,
    #[validate(regex(path = *rules::REGION))]
    #[garde(pattern(rules::REGION))]
    region: &'a str,
    #[validate(range(min = 0, max = 10))]
    #[garde(range(min = 0, max = 10))]
    retry: i64,
    #[validate(email, regex(path = *rules::DOT))]
    #[garde(email, pattern(rules::DOT))]
    contact: &'a str,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let get = |name: &str| {
            let value = headers.get(name).expect("the field");
            value.to_str().expect("a text")
        };
        Self {
            request_id: get("x-request-id"),
            tenant_id: get("x-tenant-id"),
            plugin_version: get("x-plugin-version"),
            runtime_id: get("x-plugin-runtime-id"),
            region: get("x-region"),
            retry: get("x-retry").parse().expect("a number"),
            contact: get("x-contact"),
        }
    }
}

/// Only the fields that have rules: no sizes, no other fields, no path.
pub(super) fn validator_derive(request: Request<()>) -> Contender {
    paced(move || {
        let fields = Fields::of(black_box(request.headers()));
        assert!(fields.validate().is_ok());
    })
}

/// As [`validator_derive`].
pub(super) fn garde_derive(request: Request<()>) -> Contender {
    paced(move || {
        let fields = Fields::of(black_box(request.headers()));
        assert!(garde::Validate::validate(&fields).is_ok());
    })
}

/// What `validator` finds wrong, as a JSON body, values and all.
pub(super) fn validator_refusal(request: Request<()>) -> Contender {
    paced(move || {
        let fields = Fields::of(black_box(request.headers()));
        let errors = fields.validate().expect_err("five are wrong");
        let body = serde_json::to_vec(&errors).expect("serialisable");
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::BAD_REQUEST;
        drop(black_box(response));
    })
}

fn paced(mut work: impl FnMut() + 'static) -> Contender {
    Contender::paced(move |iterations| -> Duration {
        let start = now();
        for _ in 0..iterations {
            work();
        }
        start.elapsed()
    })
}

mod rules {
    use std::sync::LazyLock;

    use regex::Regex;

    macro_rules! expressions {
        ($($name:ident = $text:expr;)*) => {$(
            pub(super) static $name: LazyLock<Regex> =
                LazyLock::new(|| Regex::new($text).expect("an expression"));
        )*};
    }
    expressions! {
        DOT = r"@.+\.";
        NAME = super::NAME;
        REGION = "^(?:ap|eu|us)$";
        SEMVER = super::SEMVER;
        UUID = super::UUID;
    }
}

const EMAIL: &str = concat!(
    r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+$",
);
const NAME: &str = r"^[a-zA-Z][a-zA-Z0-9_.\-]*$";
const PATH_RULE: &str = r"^/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})*$";
/// semver.org's own.
const SEMVER: &str = concat!(
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)",
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?",
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$",
);
const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";
