//! The formats against the crates that parse the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_plugin_validate::format::{self, UrlRule, is_public};

fuzz_target!(|input: &[u8]| {
    let Some((&[which], rest)) = input.split_first_chunk() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        // Only text has a form.
        for accepted in [
            format::display_name(rest).is_ok(),
            format::email(rest).is_ok(),
            format::file_path(rest).is_ok(),
            UrlRule::http().check(rest).is_ok(),
        ] {
            assert!(!accepted);
        }
        return;
    };
    match which % 8 {
        0 => {
            let theirs = semver::Version::parse(text).is_ok() && text.len() <= 256;
            assert_eq!(format::semver(text).is_ok(), theirs);
        }
        1 => {
            let theirs = uuid::Uuid::try_parse(text).is_ok() && text.len() == 36;
            assert_eq!(format::uuid(text).is_ok(), theirs);
        }
        2 => {
            if format::fqdn(text).is_ok() && !text.contains("--") {
                assert!(idna::domain_to_ascii_strict(text).is_ok());
                assert!(matches!(url::Host::parse(text), Ok(url::Host::Domain(_))));
            }
        }
        3 => {
            if format::email(text).is_ok() {
                let (local, host) = text.split_once('@').expect("an @");
                assert!(text.is_ascii() && local.len() <= 64 && !host.contains('@'));
                assert!(format::fqdn(host).is_ok());
                assert!(!text.bytes().any(|b| b <= b' ' || b"<>[]()\",;:\\".contains(&b)));
            }
        }
        4 => {
            if format::urn(text).is_ok() {
                assert_eq!(url::Url::parse(text).expect("a URL").scheme(), "urn");
            }
        }
        5 => url(text),
        6 => {
            if format::file_path(text).is_ok() {
                let path = std::path::Path::new(text);
                let normal = |c| matches!(c, std::path::Component::Normal(_));
                assert!(path.components().all(normal) && !text.contains(['\\', ':', '\0']));
            }
            if format::display_name(text).is_ok() {
                assert!(!text.chars().any(char::is_control));
                assert_eq!(text.trim(), text);
            }
        }
        _ => {
            if format::endpoint_path(text).is_ok() {
                let url = url::Url::parse(&format!("http://h{text}")).expect("a URL");
                assert_eq!(url.path(), text);
            }
            if format::service_type(text).is_ok() {
                let url = url::Url::parse(&format!("http://h/{text}/x")).expect("a URL");
                assert_eq!(url.path(), format!("/{text}/x"));
            }
        }
    }
});

/// Whoever parses a URL that passed calls the same host, and it is public.
fn url(text: &str) {
    if UrlRule::http().check(text).is_err() {
        return;
    }
    let Ok(theirs) = url::Url::parse(text) else {
        // Not valid punycode: no host to them, and nothing is called.
        assert!(text.to_ascii_lowercase().contains("xn--"), "{text}");
        return;
    };
    assert!(theirs.username().is_empty() && theirs.password().is_none());
    match theirs.host().expect("a host") {
        url::Host::Domain(name) => {
            let authority = text.split("//").nth(1).unwrap_or_default();
            let authority = authority.split(['/', '?']).next().unwrap_or_default();
            let host = authority.split(':').next().unwrap_or_default();
            assert_eq!(host.to_ascii_lowercase(), name);
            assert!(name.contains('.') && !name.ends_with(".localhost"));
        }
        url::Host::Ipv4(address) => assert!(is_public(address.into()), "{text}"),
        url::Host::Ipv6(address) => assert!(is_public(address.into()), "{text}"),
    }
}
