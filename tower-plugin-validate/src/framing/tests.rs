use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{known::KNOWN, *};

type Field<'a> = (&'a [u8], &'a [u8]);

fn faults(
    rules: FramingRules,
    version: Version,
    head: Head<'_>,
    fields: &[Field<'_>],
) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut scan = rules.scan(version);
    for (name, value) in fields {
        scan.field(name, value, &mut |fault| found.push(fault));
    }
    scan.finish(head, || fields.iter().copied(), &mut |fault| {
        found.push(fault);
    });
    found
}

struct Case {
    name: &'static str,
    version: Version,
    target: Option<(&'static str, &'static str)>,
    fields: &'static [(&'static str, &'static str)],
    /// What is wrong, and with which header.
    found: &'static [(FaultKind, Option<&'static str>)],
}

const CASES: &[Case] = &[
    Case {
        name: "a browser's request",
        version: Version::Http11,
        target: None,
        fields: &[
            ("host", "a.example:8080"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("accept", "text/html"),
            ("accept", "*/*"),
            ("te", "trailers, deflate"),
            ("x_one", "1"),
            ("x-two", "\tquoted \"text\"~"),
        ],
        found: &[],
    },
    Case {
        name: "a gRPC request",
        version: Version::Http2,
        target: Some(("http", "a.example")),
        fields: &[
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", "1S"),
        ],
        found: &[],
    },
    Case {
        name: "single-valued fields sent twice",
        version: Version::Http11,
        target: None,
        fields: &[
            ("authorization", "Bearer a"),
            ("authorization", "Bearer a"),
            ("content-type", "text/plain"),
            ("content-type", "text/html"),
            ("dpop", "a"),
            ("dpop", "b"),
            ("grpc-timeout", "1S"),
            ("grpc-timeout", "2S"),
            ("grpc-timeout", "3S"),
            ("host", "a"),
            ("host", "b"),
            ("te", "trailers"),
            ("te", "trailers"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-mine", "1"),
            ("x-forwarded-mine", "1"),
        ],
        found: &[
            (FaultKind::Duplicate, Some("authorization")),
            (FaultKind::Duplicate, Some("content-type")),
            (FaultKind::Duplicate, Some("dpop")),
            (FaultKind::Duplicate, Some("grpc-timeout")),
            (FaultKind::Duplicate, Some("host")),
            (FaultKind::Duplicate, Some("te")),
            (FaultKind::Duplicate, Some("x-forwarded-for")),
            (FaultKind::Duplicate, None),
        ],
    },
    Case {
        name: "two body lengths",
        version: Version::Http11,
        target: None,
        fields: &[
            ("host", "a"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ],
        found: &[(FaultKind::TwoLengths, Some("content-length"))],
    },
    Case {
        name: "two equal lengths",
        version: Version::Http11,
        target: None,
        fields: &[
            ("host", "a"),
            ("content-length", "5"),
            ("content-length", "5"),
        ],
        found: &[(FaultKind::Duplicate, Some("content-length"))],
    },
    Case {
        name: "two transfer encodings",
        version: Version::Http11,
        target: None,
        fields: &[
            ("host", "a"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "identity"),
        ],
        found: &[(FaultKind::Duplicate, Some("transfer-encoding"))],
    },
    Case {
        name: "a transfer encoding in HTTP/1.0",
        version: Version::Http10,
        target: None,
        fields: &[("transfer-encoding", "chunked")],
        found: &[(FaultKind::TransferEncoding, Some("transfer-encoding"))],
    },
    Case {
        name: "fields about the connection on HTTP/2",
        version: Version::Http2,
        target: None,
        fields: &[
            ("connection", "close"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
        ],
        found: &[
            (FaultKind::ConnectionHeader, Some("connection")),
            (FaultKind::ConnectionHeader, Some("keep-alive")),
            (FaultKind::ConnectionHeader, Some("proxy-connection")),
            (FaultKind::ConnectionHeader, Some("te")),
            (FaultKind::ConnectionHeader, Some("transfer-encoding")),
            (FaultKind::ConnectionHeader, Some("upgrade")),
        ],
    },
    Case {
        name: "the same host, spelled differently",
        version: Version::Http2,
        target: Some(("https", "A.example:443")),
        fields: &[("host", "a.EXAMPLE")],
        found: &[],
    },
    Case {
        name: "another host",
        version: Version::Http2,
        target: Some(("https", "a.example")),
        fields: &[("host", "b.example")],
        found: &[(FaultKind::HostMismatch, Some("host"))],
    },
    Case {
        name: "another port",
        version: Version::Http2,
        target: Some(("https", "a.example")),
        fields: &[("host", "a.example:80")],
        found: &[(FaultKind::HostMismatch, Some("host"))],
    },
    Case {
        name: "an empty host beside an authority",
        version: Version::Http11,
        target: Some(("http", "a.example")),
        fields: &[("host", "")],
        found: &[(FaultKind::Host, Some("host"))],
    },
    Case {
        name: "no host at all",
        version: Version::Http11,
        target: None,
        fields: &[("accept", "*/*")],
        found: &[(FaultKind::HostMissing, Some("host"))],
    },
    Case {
        name: "no host but that of the target",
        version: Version::Http11,
        target: Some(("http", "a.example")),
        fields: &[],
        found: &[],
    },
    Case {
        name: "no host in HTTP/1.0",
        version: Version::Http10,
        target: None,
        fields: &[],
        found: &[],
    },
    Case {
        name: "neither host nor authority on HTTP/2",
        version: Version::Http2,
        target: None,
        fields: &[],
        found: &[],
    },
    Case {
        name: "an impossible port in the authority",
        version: Version::Http2,
        target: Some(("https", "a.example:65536")),
        fields: &[],
        found: &[(FaultKind::Host, None)],
    },
    Case {
        name: "user information in the authority",
        version: Version::Http2,
        target: Some(("https", "trusted@evil.example")),
        fields: &[],
        found: &[(FaultKind::Host, None)],
    },
    Case {
        name: "a host that is no host",
        version: Version::Http11,
        target: None,
        fields: &[("host", "a.example, b.example")],
        found: &[(FaultKind::Host, Some("host"))],
    },
    Case {
        name: "an IPv6 host",
        version: Version::Http11,
        target: Some(("http", "[::1]:80")),
        fields: &[("host", "[::1]")],
        found: &[],
    },
    Case {
        name: "names that CGI takes for one",
        version: Version::Http11,
        target: None,
        fields: &[
            ("host", "a"),
            ("x-user-id", "1"),
            ("accept", "*/*"),
            ("x_user-id", "2"),
        ],
        found: &[(FaultKind::AmbiguousName, None)],
    },
    Case {
        name: "an underscore without a twin, and repeated",
        version: Version::Http11,
        target: None,
        fields: &[
            ("host", "a"),
            ("x_user_id", "1"),
            ("x_user_id", "2"),
            ("x-user-ie", "1"),
        ],
        found: &[],
    },
];

#[test]
fn a_head_is_refused_for_what_is_wrong_with_it_and_nothing_else() {
    for case in CASES {
        let (scheme, authority) = case.target.unzip();
        let head = Head::default()
            .with_scheme(scheme.map(str::as_bytes))
            .with_authority(authority.map(str::as_bytes));
        let fields: Vec<Field<'_>> = case
            .fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let found: Vec<_> = faults(FramingRules::http(), case.version, head, &fields)
            .iter()
            .map(|fault| (fault.kind(), fault.header()))
            .collect();
        assert_eq!(found, case.found, "{}", case.name);
    }
}

#[test]
fn arguable_heads_pass_when_the_rules_say_so() {
    let head = Head::default().with_authority(Some(b"a"));
    let twins: [Field<'_>; 2] = [(b"a_b", b""), (b"a-b", b"")];
    let repeated: [Field<'_>; 2] = [(b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b")];
    let high: [Field<'_>; 1] = [(b"x-name", "né".as_bytes())];
    let http = FramingRules::http();
    let cases: [(&[Field<'_>], FramingRules); 4] = [
        (&twins, http.with_ambiguous_names(true)),
        (&twins, FramingRules::grpc()),
        (&repeated, http.with_repeated_forwarded(true)),
        (&high, http.with_obs_text(ObsText::Allow)),
    ];
    for (fields, lenient) in cases {
        assert_eq!(faults(http, Version::Http11, head, fields).len(), 1);
        assert_eq!(
            faults(FramingRules::plugin(), Version::Http11, head, fields).len(),
            1
        );
        assert_eq!(faults(lenient, Version::Http11, head, fields), []);
    }
    let bare = |rules| faults(rules, Version::Http11, Head::default(), &[]).len();
    for rules in [http, FramingRules::grpc(), FramingRules::plugin()] {
        assert_eq!(bare(rules), 1);
        assert_eq!(bare(rules.with_missing_host(true)), 0);
    }
}

#[test]
fn a_host_is_a_name_or_an_address_with_a_possible_port() {
    let cases = [
        ("a", true),
        ("a.example", true),
        ("xn--caf-dma.example:8080", true),
        ("under_score.example", true),
        ("127.0.0.1:1", true),
        ("a:0", true),
        ("a:65535", true),
        ("a:", true),
        ("[::1]", true),
        ("[::1]:443", true),
        ("[::ffff:192.0.2.1]:80", true),
        ("", false),
        (":", false),
        (":80", false),
        ("a:65536", false),
        ("a:99999999", false),
        ("a:99999999999999999999999", false),
        ("a:+1", false),
        ("a:-1", false),
        ("a:8o", false),
        ("a: 80", false),
        ("a:80:80", false),
        ("::1", false),
        ("[::1", false),
        ("::1]", false),
        ("[]", false),
        ("[]:80", false),
        ("[::1]80", false),
        ("[::1]:65536", false),
        ("[::1]]", false),
        ("[[::1]]", false),
        ("[::1%25eth0]", false),
        ("[1.2.3.4]", false),
        ("[v1.a]", false),
        ("a[::1]", false),
        ("a]", false),
        ("a b", false),
        ("a,b", false),
        ("a/b", false),
        ("a?b", false),
        ("a#b", false),
        ("a@b", false),
        ("a\\b", false),
        ("caf\u{e9}.example", false),
        ("a\0", false),
    ];
    for (text, expected) in cases {
        assert_eq!(is_host_and_port(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn f46_no_value_holds_a_control_character_or_broken_text() {
    for octet in 0..=u8::MAX {
        for obs_text in [ObsText::Allow, ObsText::Reject] {
            let printable = octet == b'\t' || (0x20..=0x7e).contains(&octet);
            let expected = printable || (octet >= 0x80 && obs_text == ObsText::Allow);
            let rules = FramingRules::http().with_obs_text(obs_text);
            let value = [b'v', octet];
            let fields: [Field<'_>; 1] = [(b"x-note", &value)];
            let found = faults(rules, Version::Http2, Head::default(), &fields);
            assert_eq!(found.is_empty(), expected, "{octet:#x}");
            if let [fault] = found.as_slice() {
                assert_eq!(fault.kind(), FaultKind::ValueChars);
                assert_eq!(
                    fault.header(),
                    None,
                    "the caller's own name is not repeated"
                );
            }
        }
    }
}

#[test]
fn one_octet_is_found_wherever_it_stands_in_a_text_of_any_length() {
    for length in 0..70 {
        let clean = vec![b'v'; length];
        assert!(chars::accepts(&clean, ObsText::Reject), "{length}");
        for at in 0..length {
            let with = |octet| {
                let mut text = clean.clone();
                text[at] = octet;
                text
            };
            for octet in [0, 0x08, 0x0a, 0x0d, 0x1b, 0x1f, 0x7f] {
                assert!(!chars::accepts(&with(octet), ObsText::Allow), "{octet:#x}");
                assert!(!chars::accepts(&with(octet), ObsText::Reject), "{octet:#x}");
            }
            assert!(!chars::accepts(&with(0x80), ObsText::Reject));
            assert!(chars::accepts(&with(0xff), ObsText::Allow));
        }
    }
}

#[test]
fn a_content_length_is_digits_that_fit_into_64_bits() {
    let cases: [(&str, Option<u64>); 11] = [
        ("0", Some(0)),
        ("007", Some(7)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("", None),
        ("+5", None),
        ("-5", None),
        (" 5", None),
        ("5, 5", None),
        ("0x5", None),
        ("5.0", None),
    ];
    for (value, expected) in cases {
        let mut found = 0;
        let mut scan = FramingRules::http().scan(Version::Http2);
        scan.field(b"content-length", value.as_bytes(), &mut |_| found += 1);
        assert_eq!(scan.content_length(), expected, "{value:?}");
        assert_eq!(found, usize::from(expected.is_none()), "{value:?}");
    }
}

#[test]
fn a_transfer_encoding_ends_in_one_chunked() {
    let cases = [
        ("chunked", true),
        ("Chunked", true),
        ("gzip, chunked", true),
        ("gzip,\tchunked ", true),
        ("", false),
        ("gzip", false),
        ("chunked, gzip", false),
        ("chunked, chunked", false),
        ("xchunked", false),
        ("chunked;a=b", false),
        ("chunked,", false),
    ];
    for (value, expected) in cases {
        assert_eq!(ends_in_one_chunked(value.as_bytes()), expected, "{value:?}");
    }
}

#[test]
fn more_names_than_can_be_told_apart_are_refused() {
    let names: Vec<String> = (0..1025).map(|i| format!("n{i}")).collect();
    let collide = |count| Names::collide(names.iter().take(count).map(String::as_bytes));
    assert!(!collide(1024));
    assert!(collide(1025));
}

#[test]
fn every_well_known_name_is_lower_case_and_listed_once() {
    let mut listed = BTreeSet::new();
    for name in KNOWN {
        assert!(listed.insert(name), "{name}");
        assert_eq!(name.to_ascii_lowercase(), *name);
        assert_eq!(well_known(name.as_bytes()), Some(*name));
    }
    for name in ["", "Host", "x-secret-sauce", "hos", "hostt"] {
        assert_eq!(well_known(name.as_bytes()), None);
    }
}

proptest! {
    #[test]
    fn names_collide_exactly_when_they_fold_to_the_same(
        names in prop::collection::btree_set("[ab_-]{1,4}|[a_-]{9,18}", 0..12),
    ) {
        let folded: BTreeSet<_> = names.iter().map(|name| name.replace('_', "-")).collect();
        prop_assert_eq!(
            Names::collide(names.iter().map(String::as_bytes)),
            folded.len() < names.len()
        );
    }

    #[test]
    fn arbitrary_fields_never_panic(
        fields: Vec<(Vec<u8>, Vec<u8>)>,
        known in prop::sample::select(vec!["host", "te", "content-length", "transfer-encoding"]),
        authority: Option<Vec<u8>>,
    ) {
        let fields: Vec<Field<'_>> = fields
            .iter()
            .flat_map(|(name, value)| [(name.as_slice(), value.as_slice()), (known.as_bytes(), value)])
            .collect();
        let head = Head::default().with_authority(authority.as_deref()).with_scheme(Some(b"http"));
        for version in [Version::Http10, Version::Http11, Version::Http2] {
            faults(FramingRules::http(), version, head, &fields);
        }
    }
}
