use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn strict() -> [PathRules; 3] {
    [PathRules::http(), PathRules::grpc(), PathRules::plugin()]
}

fn rewriting() -> PathRules {
    PathRules::http().with_non_canonical(NonCanonical::Rewrite)
}

#[test]
fn a_path_that_means_one_thing_passes_as_it_is() {
    for path in [
        "/",
        "/api",
        "/cache.v1.Cache/",
        "/logger.v1.Logger/Get",
        "/.well-known/openid-configuration",
        "/a/b.c/d~e_f-g",
        "/users/@me;v=1/$!&'()*+,=:",
        "/with%20space/100%25",
        "/caf%C3%A9/%E2%82%AC/%F0%9F%A6%80",
        "/encoded%40reserved%3A%3F%23",
        "/a.b.c",
        "/a./b",
        "/...x",
        "/25%25off",
        "/%20",
    ] {
        let rules = PathRules::http();
        let canonical = canonical(path, &rules).unwrap_or_else(|v| panic!("{path}: {v}"));
        assert!(canonical.is_unchanged(), "{path}");
        assert_eq!(canonical.as_str(), path);
    }
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused_in_every_configuration() {
    let lenient = rewriting()
        .with_double_dots(true)
        .with_empty_segments(EmptySegments::Allow);
    for &(path, expected) in HOSTILE {
        for rules in strict().into_iter().chain([lenient]) {
            let found =
                canonical(path, &rules).expect_err(path.escape_ascii().to_string().as_str());
            if rules == lenient || rules == PathRules::http() {
                assert_eq!(found, expected, "{}", path.escape_ascii());
            }
        }
    }
}

const HOSTILE: &[(&[u8], PathViolation)] = &[
    (b"", PathViolation::NotRooted),
    (b"api", PathViolation::NotRooted),
    (b"*", PathViolation::NotRooted),
    (b"%2Fapi", PathViolation::NotRooted),
    (b"/..", PathViolation::DotSegment),
    (b"/.", PathViolation::DotSegment),
    (b"/a/../b", PathViolation::DotSegment),
    (b"/a/./b", PathViolation::DotSegment),
    (b"/a/.../b", PathViolation::DotSegment),
    (b"/a/..;/b", PathViolation::DotSegment),
    (b"/a/..;x=y/b", PathViolation::DotSegment),
    (b"/a/..%3Bx/b", PathViolation::DotSegment),
    (b"/a/.;", PathViolation::DotSegment),
    (b"/a/..%20/b", PathViolation::DotSegment),
    (b"/a/..%20", PathViolation::DotSegment),
    (b"/a/%20../b", PathViolation::DotSegment),
    (b"/%2e%2e/a", PathViolation::EncodedDot),
    (b"/%2E./a", PathViolation::EncodedDot),
    (b"/a%2eb", PathViolation::EncodedDot),
    (b"/..%2fa", PathViolation::Separator),
    (b"/..%5ca", PathViolation::Separator),
    (b"/a%2Fb", PathViolation::Separator),
    (b"/a\\b", PathViolation::Separator),
    (b"/\\evil.example", PathViolation::Separator),
    (b"//evil.example", PathViolation::EmptySegment),
    (b"//", PathViolation::EmptySegment),
    (b"/;x//evil.example", PathViolation::EmptySegment),
    (b"/%252e%252e/a", PathViolation::DoubleEncoding),
    (b"/%25%32%66", PathViolation::DoubleEncoding),
    (b"/%25%325", PathViolation::DoubleEncoding),
    (b"/%25%252e", PathViolation::DoubleEncoding),
    (b"/%2525", PathViolation::DoubleEncoding),
    (b"/%25u002e", PathViolation::DoubleEncoding),
    (b"/%u002e%u002e/", PathViolation::MalformedEncoding),
    (b"/%", PathViolation::MalformedEncoding),
    (b"/%4", PathViolation::MalformedEncoding),
    (b"/%zz", PathViolation::MalformedEncoding),
    (b"/%+1", PathViolation::MalformedEncoding),
    (b"/%00", PathViolation::Control),
    (b"/a%0d%0ax", PathViolation::Control),
    (b"/%1B", PathViolation::Control),
    (b"/%7f", PathViolation::Control),
    (b"/%C2%9B", PathViolation::Control),
    (b"/a\0", PathViolation::Control),
    (b"/a\r\nx", PathViolation::Control),
    (b"/a\x7f", PathViolation::Control),
    // Overlong forms of `.`, `/` and NUL, a surrogate, beyond Unicode, cut short, interrupted.
    (b"/%C0%AE%C0%AE/", PathViolation::NotUtf8),
    (b"/%C0%AF", PathViolation::NotUtf8),
    (b"/%E0%80%AF", PathViolation::NotUtf8),
    (b"/%F0%80%80%AF", PathViolation::NotUtf8),
    (b"/%C0%80", PathViolation::NotUtf8),
    (b"/%ED%A0%80", PathViolation::NotUtf8),
    (b"/%F4%90%80%80", PathViolation::NotUtf8),
    (b"/%FF", PathViolation::NotUtf8),
    (b"/%80", PathViolation::NotUtf8),
    (b"/%C3", PathViolation::NotUtf8),
    (b"/%E2%82", PathViolation::NotUtf8),
    (b"/%C3/%A9", PathViolation::NotUtf8),
    (b"/%C3a", PathViolation::NotUtf8),
    (b"/%E2%82a", PathViolation::NotUtf8),
    (b"/%E2a%82%AC", PathViolation::NotUtf8),
    (b"/%F0/../%9F", PathViolation::NotUtf8),
    (b"/%EF%BC%8E%EF%BC%8E", PathViolation::Lookalike),
    (b"/%EF%BC%8F", PathViolation::Lookalike),
    (b"/%E2%80%A5", PathViolation::Lookalike),
    (b"/%EF%BC%852e", PathViolation::Lookalike),
    ("/é".as_bytes(), PathViolation::IllegalCharacter),
    (b"/a b", PathViolation::IllegalCharacter),
    (b"/a?b=1", PathViolation::IllegalCharacter),
    (b"/a#b", PathViolation::IllegalCharacter),
    (b"/{a}", PathViolation::IllegalCharacter),
    (b"/a|b", PathViolation::IllegalCharacter),
    (b"/a\"b", PathViolation::IllegalCharacter),
    (b"/<a>", PathViolation::IllegalCharacter),
    (b"/[a]", PathViolation::IllegalCharacter),
];

#[test]
fn f45_the_endpoint_paths_that_used_to_pass_are_refused() {
    let plugin = PathRules::plugin();
    for path in [
        "/../admin",
        "/x?y=1",
        "/x#f",
        "//evil",
        "/\\x",
        "/x\r\n",
        "/api\0",
        "/%2e%2e/admin",
        "",
        "api",
    ] {
        assert!(canonical(path, &plugin).is_err(), "{path:?}");
    }
    for path in ["/", "/api", "/cache.v1.Cache/", "/logger.v1.Logger/Get"] {
        assert!(canonical(path, &plugin).is_ok(), "{path:?}");
    }
}

#[test]
fn f49_names_with_two_dots_in_a_row_are_refused_in_plugin_paths() {
    for path in ["/services/a..b", "/services/a...", "/services/a..b/Get"] {
        let found = canonical(path, &PathRules::plugin());
        assert_eq!(found, Err(PathViolation::DotSegment), "{path}");
        assert!(canonical(path, &PathRules::http()).is_ok(), "{path}");
    }
    assert!(canonical("/services/a.b-c_d", &PathRules::plugin()).is_ok());
}

#[test]
fn f56_an_encoded_slash_does_not_climb_out_of_a_service() {
    let path = "/services/logger/x-1f/..%2Fconnectplugin.v1.PluginControl%2FShutdown";
    for rules in [PathRules::http(), rewriting()] {
        assert_eq!(canonical(path, &rules), Err(PathViolation::Separator));
    }
    let found = canonical(path, &PathRules::plugin());
    assert_eq!(found, Err(PathViolation::DotSegment));
}

#[test]
fn a_grpc_path_is_exactly_a_service_and_a_method() {
    let cases = [
        ("/logger.v1.Logger/Get", true),
        ("/Logger/Get_2", true),
        ("/_a.b_/c", true),
        ("/", false),
        ("/Logger", false),
        ("/Logger/", false),
        ("/a/b/c", false),
        ("/a.b./c", false),
        ("/.a/c", false),
        ("/a..b/c", false),
        ("/a/b.c", false),
        ("/a-b/c", false),
        ("/a/b;c", false),
        ("/a/%62", false),
        ("/a%40/b", false),
    ];
    for (path, accepted) in cases {
        assert_eq!(
            canonical(path, &PathRules::grpc()).is_ok(),
            accepted,
            "{path}"
        );
        let rewriting = PathRules::grpc().with_non_canonical(NonCanonical::Rewrite);
        let decoded = accepted || path == "/a/%62";
        assert_eq!(canonical(path, &rewriting).is_ok(), decoded, "{path}");
    }
}

#[test]
fn another_spelling_is_refused_by_default_and_rewritten_on_request() {
    let cases = [
        ("/%61", "/a"),
        ("/%41%7e%2D%5f%30", "/A~-_0"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/caf%C3%a9/%61%2f", ""),
        ("/a%20b/%63", "/a%20b/c"),
        ("/%3a%40", "/%3A%40"),
        ("/.well-known/%61", "/.well-known/a"),
    ];
    for (path, expected) in cases {
        assert!(canonical(path, &PathRules::http()).is_err(), "{path}");
        match canonical(path, &rewriting()) {
            Ok(canonical) => {
                assert!(!canonical.is_unchanged(), "{path}");
                assert_eq!(canonical.into_inner(), expected);
            }
            Err(violation) => {
                assert_eq!(
                    (violation, expected),
                    (PathViolation::Separator, ""),
                    "{path}"
                );
            }
        }
    }
    assert_eq!(
        canonical("/%61", &PathRules::http()),
        Err(PathViolation::NotCanonical)
    );
}

#[test]
fn arguable_paths_pass_exactly_when_the_rules_say_so() {
    let http = PathRules::http();
    let cases = [
        (
            "/a//b",
            http,
            http.with_empty_segments(EmptySegments::Reject),
        ),
        (
            "/a/;x/b",
            http,
            http.with_empty_segments(EmptySegments::Reject),
        ),
        ("/a..b", http, http.with_double_dots(false)),
        ("/%252E", http.with_insecure_double_encoding(true), http),
    ];
    for (path, lenient, strict) in cases {
        assert_eq!(
            canonical(path, &lenient).map(|c| c.is_unchanged()),
            Ok(true),
            "{path}"
        );
        assert!(canonical(path, &strict).is_err(), "{path}");
    }
    // A slash at the end is not an empty segment.
    assert!(canonical("/a/", &PathRules::plugin()).is_ok());
}

#[test]
fn every_violation_has_its_own_reason_that_a_client_library_accepts() {
    let all: BTreeSet<_> = HOSTILE.iter().map(|(_, v)| v.reason()).collect();
    for reason in &all {
        assert!(
            reason.len() <= 63 && reason.starts_with("PATH_"),
            "{reason}"
        );
    }
    // All but `NotCanonical` and `NotGrpc`, which depend on the rules.
    assert_eq!(all.len(), 11);
}

/// Decodes every escape, as a router or file server would.
fn decoded(path: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escape = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        (rest, _) = match (first, escape) {
            (b'%', Some(octet)) => (&tail[2..], octets.push(octet)),
            _ => (tail, octets.push(*first)),
        };
    }
    octets
}

fn has_dot_segment(decoded: &[u8]) -> bool {
    decoded
        .split(|b| b"/\\".contains(b))
        .map(|segment| segment.split(|&b| b == b';').next().unwrap())
        .any(|segment| matches!(segment.trim_ascii(), b"." | b".."))
}

/// Paths made of the pieces that attacks are made of.
fn hostile_path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/",
        "/",
        "/",
        ".",
        "..",
        ";",
        "%2e",
        "%2E",
        "%2f",
        "%5C",
        "%25",
        "%2",
        "%",
        "%3b",
        "%61",
        "%7E",
        "%c3",
        "%a9",
        "%C3%A9",
        "%c0%ae",
        "%20",
        "%00",
        "%EF%BC%8F",
        "a",
        "B",
        "2e",
        "5",
        "u002e",
        "~",
        "@",
        "\\",
        " ",
        "é",
        "?",
        "{",
        "=",
    ]);
    let text = prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat());
    (prop::bool::weighted(0.9), text)
        .prop_map(|(rooted, text)| if rooted { format!("/{text}") } else { text })
}

/// Paths that mostly pass, so that the properties of accepted paths are tried.
fn friendly_path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/a",
        "/b.c",
        "/.d",
        "%61",
        "%C3%A9",
        "%e2%82%ac",
        "%20",
        "%3a",
        ";x",
        "~",
        "..x",
        "/",
        "%25",
        "5",
        "e",
        "/%7e",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| format!("/a{}", pieces.concat()))
}

fn rules() -> impl Strategy<Value = PathRules> {
    (any::<[bool; 4]>(), 0..3_usize).prop_map(|([dots, empty, twice, rewrite], preset)| {
        strict()[preset]
            .with_double_dots(dots)
            .with_empty_segments(if empty {
                EmptySegments::Allow
            } else {
                EmptySegments::Reject
            })
            .with_insecure_double_encoding(twice)
            .with_non_canonical(if rewrite {
                NonCanonical::Rewrite
            } else {
                NonCanonical::Reject
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_never_panic(path: Vec<u8>, rules in rules()) {
        let mut rooted = b"/".to_vec();
        rooted.extend_from_slice(&path);
        for path in [path, rooted] {
            if let Ok(accepted) = canonical(&path, &rules) {
                prop_assert!(accepted.as_str().starts_with('/'));
            }
        }
    }

    #[test]
    fn an_accepted_path_reads_the_same_for_everyone(
        path in prop_oneof![hostile_path(), friendly_path()],
        rules in rules(),
    ) {
        let Ok(accepted) = canonical(&path, &rules) else { return Ok(()) };
        for text in [path.as_str(), accepted.as_str()] {
            let once = decoded(text);
            prop_assert!(!has_dot_segment(&once), "{}", text);
            prop_assert!(!once.starts_with(b"//"), "{}", text);
            prop_assert!(!once.contains(&b'\\'));
            prop_assert!(!once.iter().any(|&b| b < 0x20 || b == 0x7f));
            let slashes = |octets: &[u8]| octets.iter().filter(|&&b| b == b'/').count();
            prop_assert_eq!(slashes(&once), slashes(text.as_bytes()));
            prop_assert!(std::str::from_utf8(&once).is_ok());
            if !rules.double_encoding {
                // Decoding twice is decoding once.
                let once = String::from_utf8(once).unwrap();
                prop_assert_eq!(decoded(&once), once.as_bytes());
            }
        }
        prop_assert_eq!(decoded(&path), decoded(accepted.as_str()));
    }

    #[test]
    fn the_canonical_spelling_is_a_fixed_point(
        path in prop_oneof![hostile_path(), friendly_path()],
        rules in rules(),
    ) {
        let Ok(accepted) = canonical(&path, &rules) else { return Ok(()) };
        prop_assert_eq!(accepted.is_unchanged(), accepted.as_str() == path);
        if rules.non_canonical == NonCanonical::Reject {
            prop_assert!(accepted.is_unchanged());
        }
        let text = accepted.into_inner().into_owned();
        let again = canonical(&text, &rules.with_non_canonical(NonCanonical::Reject));
        prop_assert_eq!(again.map(|c| c.is_unchanged()), Ok(true), "{}", text);
    }

    #[test]
    fn the_quick_scan_and_the_closer_look_agree(
        path in prop_oneof![hostile_path(), friendly_path(), "/[!-~]{0,40}"],
        rules in rules(),
    ) {
        let closer = walk::canonical(path.as_bytes(), &rules);
        if is_plain(path.as_bytes()) {
            prop_assert_eq!(closer, Ok(Cow::Borrowed(path.as_str())));
        }
    }
}

#[test]
fn the_quick_scan_decides_about_most_paths() {
    for path in ["/", "/api/v1/users", "/logger.v1.Logger/Get", "/a/b.txt"] {
        assert!(is_plain(path.as_bytes()), "{path}");
    }
}

#[test]
fn path_characters_are_those_of_the_rfc() {
    let legal = b"/-._~!$&'()*+,;=:@";
    for b in 0..=255_u8 {
        assert_eq!(
            is_pchar(b),
            b.is_ascii_alphanumeric() || legal.contains(&b),
            "{b}"
        );
    }
}
