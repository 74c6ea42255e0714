//! The formats against crates that parse the same.

use std::{collections::BTreeMap, sync::Mutex};

use regex::bytes::Regex;

use super::*;

/// Texts that are nearly right: pieces of right ones, and of wrong ones.
fn pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece =
        prop_oneof![4 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => "[ -~]"];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn matches(pattern: &'static str) -> impl Fn(&str) -> bool {
    static COMPILED: Mutex<BTreeMap<&str, Regex>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap();
    let regex = compiled
        .entry(pattern)
        .or_insert_with(|| Regex::new(pattern).unwrap());
    let regex = regex.clone();
    move |text| regex.is_match(text.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn semver_agrees_with_the_semver_crate(
        text in prop_oneof![
            pieces(&["0", "1", "23", "01", ".", ".", ".", "-", "+", "a", "rc", "-0", "18446744073709551616"]),
            r"[0-9]{1,3}\.[0-9]{1,2}\.[0-9](-[0-9a-z.-]{1,6})?(\+[0-9a-z.-]{1,6})?",
        ],
    ) {
        prop_assert_eq!(semver(&text).is_ok(), ::semver::Version::parse(&text).is_ok());
    }

    #[test]
    fn the_lenient_version_is_the_pattern_of_connect_plugin(
        text in pieces(&["0", "12", ".", ".", "-", "a", "Z", "+"]),
    ) {
        let pattern = matches(r"^[0-9]+\.[0-9]+\.[0-9]+(-[a-zA-Z0-9.-]+)?\z");
        prop_assert_eq!(semver_lenient(&text).is_ok(), pattern(&text));
    }

    #[test]
    fn uuid_agrees_with_the_uuid_crate(
        text in prop_oneof![
            "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
            "[0-9a-fg-]{36}",
            pieces(&["7b0a9a3e-", "8a86-", "4f4f-", "9d1f-", "0d6d3c1c8d11", "{", "}"]),
        ],
    ) {
        let theirs = ::uuid::Uuid::try_parse(&text).is_ok();
        prop_assert_eq!(uuid(&text).is_ok(), theirs && text.len() == 36);
    }

    #[test]
    fn fqdn_agrees_with_the_idna_crate(
        text in pieces(&["a", "B1", "-", ".", ".", "com", "9", "_", "example", "xn", "é"]),
    ) {
        let strict = idna::domain_to_ascii_strict(&text).is_ok_and(|ascii| ascii.is_ascii());
        let last = text.rsplit('.').next().unwrap_or_default();
        let ours = text.is_ascii()
            && text.contains('.')
            && last.starts_with(|c: char| c.is_ascii_alphabetic());
        if fqdn(&text).is_ok() {
            prop_assert!(ours, "{}", text);
            // IDNA keeps "--" in the third place for itself.
            let reserved = text.split('.').any(|label| label.get(2..4) == Some("--"));
            prop_assert!(strict || reserved, "{}", text);
        } else {
            prop_assert!(!(strict && ours), "{}", text);
        }
    }

    #[test]
    fn names_agree_with_the_pattern_of_connect_plugin_but_for_dots(
        text in pieces(&["a", "Z", "9", ".", "_", "-", "..", "@", "é"]),
    ) {
        let pattern = matches(r"^[a-zA-Z][a-zA-Z0-9_.\-]*\z");
        let dots = text.contains("..") || text.ends_with('.');
        prop_assert_eq!(service_type(&text).is_ok(), pattern(&text) && !dots);
    }

    #[test]
    fn urn_agrees_with_the_grammar(
        text in pieces(&["urn:", "ab", "-", ":", "/", "?", "?+", "?=", "#", "%20", "%", "é"]),
        head in prop::bool::weighted(0.7),
    ) {
        let text = if head { format!("urn:ab:{text}") } else { text };
        let pattern = matches(concat!(
            r"(?i)^urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:",
            r"([a-z0-9._~!$&'()*+,;=:@-]|%[0-9a-f]{2})([a-z0-9._~!$&'()*+,;=:@/-]|%[0-9a-f]{2})*",
            r"(\?[+=]([a-z0-9._~!$&'()*+,;=:@-]|%[0-9a-f]{2})([a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?",
            r"(#([a-z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?\z",
        ));
        prop_assert_eq!(urn(&text).is_ok(), pattern(&text), "{}", text);
    }

    #[test]
    fn an_email_is_one_to_the_url_crate_and_to_html(
        text in pieces(&["a", "B", ".", "..", "@", "@", "-", "example.com", "[", "\r\n", "\"", "+"]),
    ) {
        let Ok(()) = email(&text) else { return Ok(()) };
        let html = matches(concat!(
            r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
            r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\z",
        ));
        prop_assert!(html(&text), "{}", text);
        let host = text.rsplit('@').next().unwrap();
        prop_assert!(matches!(::url::Host::parse(host), Ok(::url::Host::Domain(_))));
    }

    #[test]
    fn an_endpoint_path_is_canonical(
        text in pieces(&["/", "/", "a", ".", "..", "~", "%2e", "\\", ";", "?"]),
    ) {
        use crate::path::{PathRules, canonical};
        let Ok(()) = endpoint_path(&text) else { return Ok(()) };
        let canonical = canonical(&text, &PathRules::plugin());
        prop_assert_eq!(canonical.map(|path| path.is_unchanged()), Ok(true));
        // Nothing that a URL parser would change, wherever it is appended.
        let url = ::url::Url::parse(&format!("http://h{text}")).unwrap();
        prop_assert_eq!(url.path(), text);
    }

    #[test]
    fn a_file_path_stays_below_its_root(
        text in pieces(&["/", "a", ".", "..", "\\", "C:", " ", "con", "~"]),
    ) {
        use std::path::{Component, Path};
        let Ok(()) = file_path(&text) else { return Ok(()) };
        let normal = |c: Component<'_>| matches!(c, Component::Normal(_));
        prop_assert!(Path::new(&text).components().all(normal));
        prop_assert!(!text.contains('\\') && !text.contains(':'));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        for table in TABLES {
            let _ = table.format.check(&bytes);
        }
        let _ = UrlRule::http().check(&bytes);
    }
}
