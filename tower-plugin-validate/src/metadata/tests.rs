use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use proptest::prelude::*;

use super::*;
use crate::format::{Format, Hosts, UrlRule};

/// What a schema says of a request, as `name: REASON`.
fn findings(schema: &Schema, fields: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut report = |finding: Finding<'_>| {
        found.push(format!(
            "{}: {}",
            finding.name().unwrap_or("-"),
            finding.reason()
        ));
    };
    let mut scan = schema.scan();
    for (name, value) in fields {
        scan.field(name.as_bytes(), value.as_bytes(), &mut report);
    }
    let lookup = |name: &str| {
        let field = fields.iter().find(|field| field.0 == name)?;
        Some(field.1.as_bytes())
    };
    scan.finish(&lookup, &mut report);
    found
}

type Fields<'a> = &'a [(&'a str, &'a str)];

struct Case {
    rule: Rule,
    name: &'static str,
    fields: &'static [&'static str],
    reason: &'static str,
}

fn case(rule: impl Into<Rule>, fields: &'static [&'static str], reason: &'static str) -> Case {
    Case {
        rule: rule.into(),
        name: "x-field",
        fields,
        reason,
    }
}

fn binary(rule: Rule, fields: &'static [&'static str], reason: &'static str) -> Case {
    Case {
        name: "x-field-bin",
        ..case(rule, fields, reason)
    }
}

#[test]
fn each_rule_refuses_what_it_says_and_nothing_else() {
    let even = || Rule::text().custom("EVEN", "must be even", |v| v.len() % 2 == 0);
    let url = || Rule::url(UrlRule::https().with_hosts(Hosts::new(["*.a.example"]).unwrap()));
    for case in [
        case(Rule::text(), &[], ""),
        case(Rule::text(), &["a, b"], ""),
        case(Rule::text(), &[""], "LENGTH"),
        case(Rule::text().min_bytes(0), &[""], ""),
        case(Rule::text().min_bytes(3), &["ab"], "LENGTH"),
        case(Rule::text().max_bytes(3), &["abc"], ""),
        case(Rule::text().max_bytes(3), &["abcd"], "LENGTH"),
        case(Rule::text(), &["a", "b"], "DUPLICATE"),
        case(Rule::text().repeated(2), &["a", "b"], ""),
        case(Rule::text().repeated(2), &["a", "b", "c"], "DUPLICATE"),
        case(Rule::text().required(), &[], "REQUIRED"),
        case(Rule::text().required(), &["a"], ""),
        case(Rule::text().required().min_bytes(0), &[""], "REQUIRED"),
        case(
            Rule::text().required().min_bytes(0).repeated(2),
            &["", "a"],
            "",
        ),
        case(Rule::forbidden(), &[], ""),
        case(Rule::forbidden(), &[""], "FORBIDDEN"),
        case(Format::Uuid, &["7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11"], ""),
        case(Format::Uuid, &["7b0a9a3e"], "UUID"),
        case(Rule::from(Format::Uuid).min_bytes(0), &[""], ""),
        case(Format::Email, &["a@x\r\nBcc: y[127.0.0.1]"], "EMAIL"),
        case(Rule::one_of(["us", "eu"]), &["eu"], ""),
        case(Rule::one_of(["us", "eu"]), &["EU"], "ONE_OF"),
        case(Rule::one_of(["us", "eu"]), &["e"], "ONE_OF"),
        case(Rule::integer(-5..=10), &["-5"], ""),
        case(Rule::integer(-5..=10), &["10"], ""),
        case(Rule::integer(-5..=10), &["0"], ""),
        case(Rule::integer(-5..=10), &["-6"], "INTEGER"),
        case(Rule::integer(-5..=10), &["11"], "INTEGER"),
        case(Rule::integer(-5..=10), &["+1"], "INTEGER"),
        case(Rule::integer(-5..=10), &["01"], "INTEGER"),
        case(Rule::integer(-5..=10), &["-0"], "INTEGER"),
        case(Rule::integer(-5..=10), &["-"], "INTEGER"),
        case(Rule::integer(-5..=10), &["1 "], "INTEGER"),
        case(Rule::integer(-5..=10), &["1.0"], "INTEGER"),
        case(
            Rule::integer(i64::MIN..=i64::MAX),
            &["-9223372036854775808"],
            "",
        ),
        case(
            Rule::integer(i64::MIN..=i64::MAX),
            &["9223372036854775807"],
            "",
        ),
        case(
            Rule::integer(i64::MIN..=i64::MAX),
            &["9223372036854775808"],
            "INTEGER",
        ),
        case(
            Rule::integer(i64::MIN..=i64::MAX),
            &["-9223372036854775809"],
            "INTEGER",
        ),
        case(url(), &["https://x.a.example/"], ""),
        case(url(), &["https://x.b.example/"], "URL_HOST_NOT_ALLOWED"),
        case(url(), &["http://x.a.example/"], "URL_SCHEME"),
        case(even(), &["ab"], ""),
        case(even(), &["abc"], "EVEN"),
        case(even().format(Format::ServiceType), &["1b"], "SERVICE_TYPE"),
        case(Rule::from(Format::ServiceType).list(2), &["a , b"], ""),
        case(Rule::from(Format::ServiceType).list(2), &["a"], ""),
        case(
            Rule::from(Format::ServiceType).list(2),
            &["a,b,c"],
            "LIST_SIZE",
        ),
        case(
            Rule::from(Format::ServiceType).list(2),
            &["a,,"],
            "LIST_SIZE",
        ),
        case(
            Rule::from(Format::ServiceType).list(2),
            &["a,1"],
            "SERVICE_TYPE",
        ),
        case(Rule::from(Format::ServiceType).list(2), &["a,"], "LENGTH"),
        case(
            Rule::from(Format::ServiceType).list(2),
            &["a", "b"],
            "DUPLICATE",
        ),
        binary(Rule::binary(2), &["AAE="], ""),
        binary(Rule::binary(2), &["AAE"], ""),
        binary(Rule::binary(2), &[""], ""),
        binary(Rule::binary(2), &["AAEC"], "BINARY"),
        binary(Rule::binary(2), &["AAE=="], "BINARY"),
        binary(Rule::binary(2), &["A"], "BINARY"),
        binary(Rule::binary(2), &["AA_-"], "BINARY"),
        binary(Rule::binary(2), &["AB"], "BINARY"),
        binary(Rule::binary(2), &["AAE,AAE"], "DUPLICATE"),
        binary(Rule::binary(2).repeated(2), &["AAE, AAE="], ""),
        binary(Rule::binary(2).repeated(2), &["AAE", "AAE"], ""),
        binary(
            Rule::binary(2).repeated(2),
            &["AAE", "AAE,AAE"],
            "DUPLICATE",
        ),
        binary(Rule::binary(2).repeated(2), &["AAE,*"], "BINARY"),
        binary(Rule::binary(2).min_bytes(2), &["AA"], "BINARY"),
        binary(Rule::binary(2).required(), &[""], "REQUIRED"),
        binary(
            Rule::binary(2).custom("ONE", "must be 1", |v| v == [0, 1]),
            &["AAE"],
            "",
        ),
        binary(
            Rule::binary(2).custom("ONE", "must be 1", |v| v == [1]),
            &["AAE"],
            "ONE",
        ),
    ] {
        let context = format!("{:?} on {:?}", case.rule, case.fields);
        let schema = Schema::builder().key(case.name, case.rule).build();
        let schema = schema.unwrap_or_else(|e| panic!("{context}: {e}"));
        let fields: Vec<_> = case
            .fields
            .iter()
            .map(|value| (case.name, *value))
            .collect();
        let expected: Vec<_> = (!case.reason.is_empty())
            .then(|| format!("{}: {}", case.name, case.reason))
            .into_iter()
            .collect();
        assert_eq!(findings(&schema, &fields), expected, "{context}");
    }
}

#[test]
fn the_longest_prefix_counts_and_a_name_of_its_own_counts_more() {
    let schema = Schema::builder()
        .key("x-plugin-id", Format::Uuid)
        .prefix("x-", Rule::text().max_bytes(2).max_names(2))
        .prefix("x-plugin-", Rule::forbidden())
        .build()
        .unwrap();
    let cases: &[(Fields<'_>, &[&str])] = &[
        (&[("x-a", "1"), ("x-b", "2"), ("y-c", "333")], &[]),
        (&[("x-a", "1"), ("x-a", "2")], &["-: DUPLICATE"]),
        (&[("x-a", "123")], &["-: LENGTH"]),
        (
            &[("x-a", "1"), ("x-b", "1"), ("x-c", "1"), ("x-d", "1")],
            &["-: NAME_COUNT"],
        ),
        (&[("x-plugin-id", "1")], &["x-plugin-id: UUID"]),
        (&[("x-plugin-other", "1")], &["-: FORBIDDEN"]),
    ];
    for (fields, expected) in cases {
        assert_eq!(findings(&schema, fields), *expected, "{fields:?}");
    }
}

#[test]
fn any_name_that_ends_in_bin_can_have_a_rule() {
    let schema = Schema::grpc();
    assert_eq!(
        findings(&schema, &[("a-bin", "AAE"), ("a-bin", "AAE="), ("b", "*")]),
        [""; 0]
    );
    assert_eq!(findings(&schema, &[("a-bin", "*")]), ["-: BINARY"]);
    let many = [("a-bin", "AAE,AAE,AAE,AAE,AAE,AAE,AAE,AAE"); 3];
    assert_eq!(findings(&schema, &many), ["-: DUPLICATE"]);
    let schema = schema
        .to_builder()
        .prefix("x-", Rule::forbidden())
        .key("a-bin", Rule::binary(1));
    let schema = schema.build().unwrap();
    assert_eq!(
        findings(&schema, &[("x-a-bin", "AAE"), ("x-a", "1")]),
        ["-: FORBIDDEN"]
    );
    assert_eq!(findings(&schema, &[("a-bin", "AAE")]), ["a-bin: BINARY"]);
    for bad in [Rule::text(), Rule::binary(1).required()] {
        assert!(Schema::builder().any_binary(bad).build().is_err());
    }
}

#[test]
fn unknown_names_pass_unless_the_schema_is_closed() {
    let open = Schema::builder().key("x-a", Rule::text());
    let closed = open
        .clone()
        .unknown(Unknown::Reject)
        .prefix("y-", Rule::text());
    let fields = [
        ("user-agent", "u"),
        ("x-a", "a"),
        ("y-b", "b"),
        ("z-c", "c"),
        ("z-d", "d"),
    ];
    assert_eq!(findings(&open.build().unwrap(), &fields), [""; 0]);
    let found = findings(&closed.build().unwrap(), &fields);
    assert_eq!(found, ["-: UNKNOWN_NAME", "-: UNKNOWN_NAME"]);
}

#[test]
fn rules_across_fields_are_asked_when_every_field_is_in_order() {
    let schema = Schema::builder()
        .key("x-lease", Format::ServiceType)
        .key("x-tenant-id", Rule::text())
        .cross(
            "LEASE_WITHOUT_TENANT",
            "x-lease needs x-tenant-id",
            |fields| !fields.has("x-lease") || fields.has("x-tenant-id"),
        )
        .build()
        .unwrap();
    assert_eq!(findings(&schema, &[]), [""; 0]);
    assert_eq!(
        findings(&schema, &[("x-lease", "a")]),
        ["-: LEASE_WITHOUT_TENANT"]
    );
    assert_eq!(
        findings(&schema, &[("x-lease", "a"), ("x-tenant-id", "t")]),
        [""; 0]
    );
    assert_eq!(
        findings(&schema, &[("x-lease", "1")]),
        ["x-lease: SERVICE_TYPE"]
    );
}

#[test]
fn a_route_adds_to_the_rules_of_all_or_replaces_them() {
    let all = Schema::builder()
        .key("x-a", Rule::text().required())
        .build()
        .unwrap();
    let route = all
        .to_builder()
        .key("x-a", Rule::text())
        .key("x-b", Rule::text().required());
    let route = route.build().unwrap();
    assert_eq!(findings(&all, &[]), ["x-a: REQUIRED"]);
    assert_eq!(findings(&route, &[]), ["x-b: REQUIRED"]);
}

#[test]
fn rules_that_make_no_sense_are_refused_by_name() {
    let with = |name: &'static str, rule: Rule| Schema::builder().key(name, rule);
    let text = Rule::text;
    let cases = [
        (with("", text()), "must be a field name"),
        (with("X-A", text()), "must be a field name"),
        (with("a b", text()), "must be a field name"),
        (with("é", text()), "must be a field name"),
        (with("a-bin", text()), "the rule must be Rule::binary"),
        (with("a", Rule::binary(1)), "must not be Rule::binary"),
        (with("a", text().max_names(1)), "max_names is for prefixes"),
        (with("a", text().repeated(0)), "between 1 and 1024"),
        (with("a", text().repeated(1025)), "between 1 and 1024"),
        (with("a", text().list(0)), "between 1 and 1024"),
        (
            with("a-bin", Rule::binary(1).list(1)),
            "list must not be set",
        ),
        (
            with("a", text().max_bytes(0)),
            "max_bytes must be between 1 and 1048576",
        ),
        (
            with("a", text().max_bytes((1 << 20) + 1)),
            "max_bytes must be between",
        ),
        (
            with("a", text().min_bytes(2).max_bytes(1)),
            "min_bytes must be between 0 and max_bytes",
        ),
        (with("a", Rule::forbidden().required()), "is forbidden"),
        (
            with("a", Rule::forbidden().format(Format::Uuid)),
            "is forbidden",
        ),
        (
            with("a", Rule::integer(RangeEmpty::make())),
            "a range that is not empty",
        ),
        (
            with("a", Rule::one_of([""; 0])),
            "between 1 and 1024 values",
        ),
        (
            with("a", text().custom("no", "", |_| true)),
            "must have a reason",
        ),
        (
            with("a-bin", Rule::binary(1).format(Format::Uuid)),
            "only custom checks apply",
        ),
        (
            Schema::builder().prefix("a-", text().required()),
            "required is for names",
        ),
        (
            Schema::builder().prefix("a-", Rule::binary(1)),
            "must not be Rule::binary",
        ),
        (
            Schema::builder().cross("a b", "", |_| true),
            "must have a reason",
        ),
        (
            (0..257).fold(Schema::builder(), |b, i| b.key(format!("a{i}"), text())),
            "at most 256",
        ),
        (
            (0..17).fold(Schema::builder(), |b, i| b.prefix(format!("a{i}"), text())),
            "at most 16",
        ),
        (
            (0..65).fold(Schema::builder(), |b, _| b.cross("A", "", |_| true)),
            "at most 64",
        ),
    ];
    for (builder, problem) in cases {
        let invalid = builder.build().map(|_| ()).expect_err(problem);
        assert!(invalid.to_string().contains(problem), "{invalid}");
    }
    // 256 names are found again, each by its own rule.
    let many = (0..256).fold(Schema::builder(), |b, i| {
        b.key(format!("x-{i}"), Rule::forbidden())
    });
    let many = many.build().unwrap();
    for i in 0..256 {
        let name = format!("x-{i}");
        assert_eq!(
            findings(&many, &[(&name, "")]),
            [format!("{name}: FORBIDDEN")]
        );
        assert_eq!(many.name_of(name.as_bytes()), Some(&*name));
    }
    assert_eq!(
        findings(&many, &[("x-256", ""), ("y-1", ""), ("", "")]),
        [""; 0]
    );
}

/// Written so that no lint sees an empty range.
struct RangeEmpty;

impl RangeEmpty {
    fn make() -> std::ops::RangeInclusive<i64> {
        let (start, end) = (2, 1);
        start..=end
    }
}

#[test]
fn a_finding_names_what_the_schema_names_and_repeats_no_value() {
    let schema = Schema::builder()
        .key("x-region", Rule::one_of(["eu", "us"]))
        .prefix("x-", Rule::text().max_bytes(3))
        .build()
        .unwrap();
    let mut scan = schema.scan();
    let mut said = String::new();
    for (name, value) in [("x-region", "s3cr3t"), ("x-s3cr3t", "s3cr3t")] {
        scan.field(name.as_bytes(), value.as_bytes(), &mut |finding| {
            said += &format!("{finding} {finding:?}\n");
        });
    }
    assert!(said.contains("x-region must be one of eu, us"), "{said}");
    assert!(said.contains("must be 1 to 3 bytes long"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[test]
fn f46_f47_f50_the_metadata_of_a_message_is_limited_entry_by_entry_and_in_total() {
    use EntryFault as Fault;
    let long_key = "k".repeat(257);
    let long_value = "v".repeat(4097);
    let cases: &[(Fields<'_>, Result<(), Fault>)] = &[
        (&[], Ok(())),
        (
            &[
                ("base_url", "http://logger:8082"),
                ("k", ""),
                ("u", "größe"),
            ],
            Ok(()),
        ),
        (&[("k", "v"); 100], Ok(())),
        (&[("k", "v"); 101], Err(Fault::Count)),
        (&[("", "v")], Err(Fault::Key)),
        (&[("key@invalid", "v")], Err(Fault::Key)),
        (&[("key\0admin", "v")], Err(Fault::Key)),
        (&[("a..b", "v")], Err(Fault::Key)),
        (&[(&long_key[..256], &long_value[..4096])], Ok(())),
        (&[(&long_key, "v")], Err(Fault::KeySize)),
        (&[("k", &long_value)], Err(Fault::ValueSize)),
        (&[("k", "a\r\nb")], Err(Fault::ValueChars)),
        (&[("k", "\u{1b}[2J")], Err(Fault::ValueChars)),
        (&[("k", "\u{9b}")], Err(Fault::ValueChars)),
        (&[("k", "\0")], Err(Fault::ValueChars)),
        (&[("k", &long_value[..4096]); 15], Ok(())),
        (&[("k", &long_value[..4096]); 16], Err(Fault::TotalSize)),
    ];
    for (entries, expected) in cases {
        assert_eq!(Entries::plugin().check(entries.iter().copied()), *expected);
    }
    assert_eq!(
        Entries::plugin().check([("k", b"\xff")]),
        Err(Fault::ValueChars)
    );
    let few = Entries::plugin()
        .with_count(1)
        .with_value_bytes(1)
        .with_total_bytes(2);
    assert_eq!(few.check([("k", "v")]), Ok(()));
    assert_eq!(few.check([("k", "v"), ("l", "w")]), Err(Fault::Count));
    assert_eq!(few.check([("k", "vv")]), Err(Fault::ValueSize));
    assert_eq!(few.check([("kk", "v")]), Err(Fault::TotalSize));
    assert_eq!(
        few.with_key_bytes(1).check([("kk", "")]),
        Err(Fault::KeySize)
    );
}

#[test]
fn a_fault_of_an_entry_has_a_reason_and_words_and_nothing_of_the_entry() {
    let entries = Entries::plugin()
        .with_count(2)
        .with_key_bytes(8)
        .with_value_bytes(16)
        .with_total_bytes(24);
    type Map = &'static [(&'static str, &'static str)];
    let cases: [(Map, &str, &str); 6] = [
        (
            &[("a", ""), ("b", ""), ("s3cr3t", "")],
            "METADATA_COUNT",
            "too many",
        ),
        (&[("s3cr3t..", "")], "METADATA_KEY", "must be a letter"),
        (&[("s3cr3tkey", "")], "METADATA_KEY_SIZE", "key is too long"),
        (
            &[("a", "s3cr3t 90123456"), ("b", "s3cr3t89")],
            "METADATA_SIZE",
            "together",
        ),
        (
            &[("a", "s3cr3t\u{85}")],
            "METADATA_VALUE_CHARS",
            "control character",
        ),
        (
            &[("a", "s3cr3t 8901234567")],
            "METADATA_VALUE_SIZE",
            "value is too long",
        ),
    ];
    for (map, reason, words) in cases {
        let fault = entries.check(map.iter().copied()).unwrap_err();
        assert_eq!(fault.reason(), reason);
        let told = fault.to_string();
        assert!(told.contains(words), "{told}");
        assert!(!format!("{told}{fault:?}").contains("s3cr3t"));
    }
}

#[cfg(feature = "pattern")]
#[test]
fn patterns_match_the_whole_value_in_a_table_of_limited_size() {
    let rule = |expression: &str| Rule::pattern(Pattern::new(expression, "must fit").unwrap());
    let cases = [
        ("a|ab", "ab", true),
        ("a|ab", "abc", false),
        ("a", "xa", false),
        ("[a-z]+", "abc\n", false),
        ("(?i)abc", "ABC", true),
        (r"\d{3}", "123", true),
        (r"\d{3}", "١٢٣", false),
        ("(a+)+", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", false),
        ("", "a", false),
        ("a.c", "a\u{e9}c", false),
    ];
    for (expression, value, fits) in cases {
        let schema = Schema::builder()
            .key("x-a", rule(expression))
            .build()
            .unwrap();
        let expected: Vec<&str> = if fits { vec![] } else { vec!["x-a: PATTERN"] };
        assert_eq!(
            findings(&schema, &[("x-a", value)]),
            expected,
            "{expression} {value:?}"
        );
    }
    let deep = "(".repeat(200);
    for bad in [
        "(",
        "a{2",
        "[z-a]",
        r"(?u)\bx",
        "a)|(b",
        "[ab]*a[ab]{20}",
        "(a{99}){99}",
        &deep,
        &"a".repeat(5000),
    ] {
        let start = bad.get(..10).unwrap_or(bad);
        assert_eq!(
            Pattern::new(bad, "")
                .map(|_| ())
                .map_err(|e| e.to_string().len() > 20),
            Err(true),
            "{start}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn binary_values_agree_with_the_base64_crate(
        text in prop_oneof!["[A-Da-d+/=]{0,9}", "[A-Za-z0-9+/]{0,24}={0,3}", "[ -~]{0,8}"],
    ) {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let theirs = GeneralPurpose::new(&STANDARD, config);
        // Commas and spaces around values are the field's, not base64's.
        let plain = !text.contains([',', ' ']);
        let expected = theirs.decode(&text).ok();
        // Incomplete padding is refused here.
        let padding = text.len() - text.trim_end_matches('=').len();
        if plain && (padding == 0 || text.len() % 4 == 0) {
            prop_assert_eq!(decode(&text, 100).ok(), expected);
        }
    }

    #[test]
    fn what_was_encoded_is_decoded_and_measured(bytes in prop::collection::vec(any::<u8>(), 0..40), pad: bool) {
        let config = GeneralPurposeConfig::new().with_encode_padding(pad);
        let text = GeneralPurpose::new(&STANDARD, config).encode(&bytes);
        prop_assert_eq!(bin::measure(text.as_bytes(), bytes.len()), Ok(bytes.len()));
        prop_assert_eq!(decode(&text, bytes.len()), Ok(bytes.clone()));
        if let Some(less) = bytes.len().checked_sub(1) {
            prop_assert_eq!(decode(&text, less), Err(InvalidBinary::TooLong));
        }
    }

    #[test]
    fn an_integer_is_what_the_standard_library_prints(value: i64, text in "-?[0-9+ ]{0,21}") {
        let schema = Schema::builder().key("x", Rule::integer(i64::MIN..=i64::MAX)).build().unwrap();
        prop_assert_eq!(findings(&schema, &[("x", &value.to_string())]), [""; 0]);
        let canonical = text.parse::<i64>().is_ok_and(|value| value.to_string() == text);
        prop_assert_eq!(findings(&schema, &[("x", &text)]).is_empty(), canonical);
    }

}

proptest! {
    #[test]
    fn arbitrary_fields_never_panic(fields: Vec<(Vec<u8>, Vec<u8>)>) {
        let schema = Schema::builder()
            .key("a", Rule::integer(0..=1).list(2))
            .key("b-bin", Rule::binary(4).repeated(2))
            .prefix("c", Rule::text().max_names(1))
            .unknown(Unknown::Reject)
            .build()
            .unwrap();
        let mut scan = schema.scan();
        for (name, value) in &fields {
            for name in [name.as_slice(), b"a", b"b-bin", b"c1"] {
                scan.field(name, value, &mut |_| ());
            }
        }
        scan.finish(&|_| None, &mut |_| ());
        let _ = Entries::plugin().check(fields);
    }
}
