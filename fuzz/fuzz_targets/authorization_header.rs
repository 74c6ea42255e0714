//! Headers in, a status out: nothing panics, nothing is echoed, and nobody gets in without exactly one credential
//! in its one form.
//!
//! The input is lines, each a header: the first character chooses the name, `$` in what follows stands for the
//! right token, `!` for the right key.
#![no_main]

use std::{
    convert::Infallible,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service, service_fn};
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, MemoryStore, NewToken, Principal, SystemRng, Tokens,
    authenticate::{ApiKeyAuthenticator, ApiKeys, FirstOf},
    token::KeyRing,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Setup {
    layer: AuthLayer<FirstOf>,
    token: String,
    id: String,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let keys = KeyRing::random(&SystemRng).unwrap();
    let tokens = Tokens::builder(MemoryStore::new(10).unwrap(), keys).build().unwrap();
    let issued = now(tokens.issue(NewToken::runtime(&"cache".parse().unwrap()))).unwrap();
    let key = [(KEY, Principal::new("api-key", "a"))];
    let several = FirstOf::builder()
        .or(BearerAuthenticator::new(tokens))
        .or(ApiKeyAuthenticator::new(ApiKeys::new(key, &SystemRng).unwrap()));
    Setup {
        layer: AuthLayer::new(several.build().unwrap()),
        token: issued.token().expose().to_owned(),
        id: issued.principal().subject().to_owned(),
    }
});

fuzz_target!(|input: &[u8]| {
    let Setup { layer, token, id } = &*SETUP;
    let mut request = Request::new(());
    for line in input.split(|&byte| byte == b'\n').take(8) {
        let Some((name, rest)) = line.split_first() else {
            continue;
        };
        let name = match name {
            b'a' => "authorization",
            b'k' => "x-api-key",
            b'i' => "x-plugin-runtime-id",
            b'c' => "content-type",
            _ => continue,
        };
        let mut value = Vec::new();
        for &byte in rest {
            match byte {
                _ if name == "content-type" => value.push(byte),
                b'$' => value.extend_from_slice(token.as_bytes()),
                b'!' => value.extend_from_slice(KEY.as_bytes()),
                b'@' => value.extend_from_slice(id.as_bytes()),
                _ => value.push(byte),
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            request.headers_mut().append(name, value);
        }
    }
    let headers = request.headers().clone();

    let mut service = layer.layer(service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<Principal>().is_some());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let response = now(service.call(request)).unwrap();
    let is_admitted = response.extensions().get::<tower_plugin_auth::Rejection>().is_none();
    assert_eq!(is_admitted, may_pass(&headers, token, id), "{headers:?}");

    let (mut parts, body) = response.into_parts();
    // A caller gets the type of its content back, and no credential belongs there.
    parts.headers.remove("content-type");
    let shown = format!("{:?}", parts.headers);
    let body = now(body.collect()).unwrap().to_bytes();
    for secret in [token.as_str(), KEY] {
        assert!(!shown.contains(secret));
        assert!(!body.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
});

/// The rules once more, written down differently.
fn may_pass(headers: &http::HeaderMap, token: &str, id: &str) -> bool {
    let all = |name: &str| {
        let values = headers.get_all(name).iter();
        values.map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>()
    };
    let (authorizations, ids) = (all(AUTHORIZATION.as_str()), all("x-plugin-runtime-id"));
    let bearer = match &authorizations[..] {
        [] => None,
        [one] => {
            let lower = one.to_ascii_lowercase();
            let is_bearer = lower == b"bearer" || lower.starts_with(b"bearer ");
            is_bearer.then(|| one[6..].to_vec())
        }
        _ => return false,
    };
    match bearer {
        Some(sent) => {
            let spaces = sent.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let is_named = ids.is_empty() || ids == [id.as_bytes()];
            spaces > 0 && sent[spaces..] == *token.as_bytes() && is_named
        }
        None => match &all("x-api-key")[..] {
            [one] => one.trim_ascii() == KEY.as_bytes(),
            _ => false,
        },
    }
}

/// Memory answers at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
