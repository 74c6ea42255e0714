//! Which fields a request takes to its provider, and an answer to its caller.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        ALT_SVC, AUTHORIZATION, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRANSFER_ENCODING, UPGRADE,
    },
};
use tower_plugin_auth::{authenticate::RUNTIME_ID, refresh::EXPIRES_IN};

/// Takes off what is the host's business, and says who calls.
///
/// * Whoever the caller proved to be to the host, it does not lend to the provider: `authorization`,
///   `x-plugin-runtime-id` and cookies stay here.
/// * What a caller claims about the way its request came (`forwarded`, `x-forwarded-*`, `x-real-ip`) is
///   replaced by what is known: one `forwarded` with the caller's runtime id as its obfuscated name (RFC
///   7239, section 6.3). Its address is nobody's business.
/// * What speaks about the connection (RFC 9110, section 7.6.1) ends with it; `te: trailers` is said
///   again where it was said, as gRPC wants it.
pub(super) fn prepare_request(headers: &mut HeaderMap, caller: &str, upstream: Version) {
    let wants_trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|coding| is(coding, "trailers")));
    prepare_request_trailers(headers);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if upstream != Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
    }
    // Runtime ids are made of letters, digits, `.`, `_` and `-`.
    if let Ok(forwarded) = HeaderValue::try_from(format!("for=_{caller}")) {
        headers.insert(FORWARDED, forwarded);
    }
}

/// Takes the same off trailers, and says nothing in them: what is no field of a head is none of a trailer.
pub(super) fn prepare_request_trailers(headers: &mut HeaderMap) {
    remove_of_connection(headers);
    for name in [
        &AUTHORIZATION,
        &COOKIE,
        &EXPECT,
        &FORWARDED,
        &HOST,
        &RUNTIME_ID,
        &REAL_IP,
    ] {
        headers.remove(name);
    }
    remove_all(headers, |name| name.as_str().starts_with("x-forwarded-"));
}

/// Takes off what a provider must not say in the host's name, in head and trailers: all providers share
/// its origin. So no cookies, no other places where it could be reached, no word on how browsers are to
/// treat it, and no identities.
pub(super) fn prepare_response(headers: &mut HeaderMap) {
    remove_of_connection(headers);
    for name in [
        &ALT_SVC,
        &AUTHORIZATION,
        &CLEAR_SITE_DATA,
        &EXPIRES_IN,
        &FORWARDED,
        &RUNTIME_ID,
        &SET_COOKIE,
        &STRICT_TRANSPORT_SECURITY,
    ] {
        headers.remove(name);
    }
}

fn remove_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&[
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ]) {
        headers.remove(name);
    }
}

fn remove_all(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<_> = headers
        .keys()
        .filter(|name| is_unwanted(name))
        .cloned()
        .collect();
    for name in unwanted {
        headers.remove(name);
    }
}

// A coding may carry a weight.
fn is(coding: &str, name: &str) -> bool {
    let coding = coding.split(';').next().unwrap_or_default();
    coding.trim().eq_ignore_ascii_case(name)
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|&(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_request_leaves_its_identity_and_its_connection_behind() {
        let mut request = headers(&[
            ("accept", "*/*"),
            ("authorization", "Bearer s3cr3t"),
            ("connection", "close, X-Hop"),
            ("cookie", "s3cr3t=1"),
            ("expect", "100-continue"),
            ("forwarded", "for=1.2.3.4"),
            ("host", "host"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "s3cr3t"),
            ("te", "gzip, trailers;q=0.5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-custom-request", "kept"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-hop", "1"),
            ("x-plugin-runtime-id", "p"),
            ("x-real-ip", "1.2.3.4"),
        ]);
        prepare_request(&mut request, "p-0a", Version::HTTP_2);
        let kept = headers(&[
            ("accept", "*/*"),
            ("forwarded", "for=_p-0a"),
            ("te", "trailers"),
            ("x-custom-request", "kept"),
        ]);
        assert_eq!(request, kept);
    }

    #[test]
    fn on_http_1_the_wish_for_trailers_is_the_connections() {
        let mut request = headers(&[("te", "trailers")]);
        prepare_request(&mut request, "p", Version::HTTP_11);
        assert_eq!(request[CONNECTION], "te");
        let mut request = headers(&[("te", "gzip")]);
        prepare_request(&mut request, "p", Version::HTTP_11);
        assert!(!request.contains_key(TE) && !request.contains_key(CONNECTION));
    }

    #[test]
    fn an_answer_speaks_for_its_provider_alone() {
        let mut answer = headers(&[
            ("alt-svc", "h2=\":1\""),
            ("clear-site-data", "\"*\""),
            ("connection", "x-hop"),
            ("content-type", "text/plain"),
            ("grpc-status", "0"),
            ("set-cookie", "a=b"),
            ("strict-transport-security", "max-age=31536000"),
            ("trailer", "grpc-status"),
            ("transfer-encoding", "chunked"),
            ("x-hop", "1"),
            ("x-plugin-runtime-id", "p"),
        ]);
        prepare_response(&mut answer);
        let kept = headers(&[
            ("content-type", "text/plain"),
            ("grpc-status", "0"),
            ("trailer", "grpc-status"),
        ]);
        assert_eq!(answer, kept);
    }
}
