use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
struct Everything {
    x_text: String,
    x_count: u16,
    x_signed: Option<i64>,
    x_ratio: Option<f64>,
    x_flag: Option<bool>,
    x_region: Option<Region>,
    #[serde(default)]
    x_tags: Vec<String>,
    x_wrapped: Option<Wrapped>,
    #[serde(default, rename = "x-trace-bin", deserialize_with = "bytes")]
    trace: Vec<u8>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Region {
    Eu,
    Us,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Wrapped(u8);

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    struct Bytes;
    impl serde::de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
    from.deserialize_byte_buf(Bytes)
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

/// What is left in the extensions, or the violations.
fn parse<T: Send + Sync + 'static>(
    typed: &TypedMetadata,
    fields: &[(&'static str, &str)],
) -> Result<Metadata<T>, Vec<(String, &'static str)>> {
    let mut extensions = Extensions::new();
    let violations = typed.leave_in(&mut extensions, &headers(fields));
    let told = |v: &Violation| (v.field().to_owned(), v.reason());
    match extensions.get::<Metadata<T>>() {
        Some(value) => {
            assert!(violations.is_empty());
            Ok(value.clone())
        }
        None => Err(violations.iter().map(told).collect()),
    }
}

#[test]
fn a_struct_is_read_from_the_fields_it_names() {
    let typed = TypedMetadata::of::<Everything>().unwrap();
    let value = parse::<Everything>(
        &typed,
        &[
            ("user-agent", "ignored"),
            ("x-text", "caf\u{e9}"),
            ("x-count", "65535"),
            ("x-signed", "-1"),
            ("x-ratio", "0.5"),
            ("x-flag", "true"),
            ("x-region", "us"),
            ("x-tags", "a, b"),
            ("x-tags", "c"),
            ("x-wrapped", "7"),
            ("x-trace-bin", "AAE"),
        ],
    );
    assert_eq!(
        *value.unwrap(),
        Everything {
            x_text: "caf\u{e9}".into(),
            x_count: 65535,
            x_signed: Some(-1),
            x_ratio: Some(0.5),
            x_flag: Some(true),
            x_region: Some(Region::Us),
            x_tags: vec!["a, b".into(), "c".into()],
            x_wrapped: Some(Wrapped(7)),
            trace: vec![0, 1],
        }
    );
    let least = parse::<Everything>(&typed, &[("x-text", ""), ("x-count", "0")]).unwrap();
    assert_eq!((least.x_signed, least.x_tags.len()), (None, 0));
}

#[test]
fn what_is_wrong_is_told_by_field_and_without_values() {
    let typed = TypedMetadata::of::<Everything>().unwrap();
    let cases = [
        ("x-count", "-1", "NUMBER"),
        ("x-count", "65536", "NUMBER"),
        ("x-count", "+1", "NUMBER"),
        ("x-count", " 1", "NUMBER"),
        ("x-signed", "s3cr3t", "NUMBER"),
        ("x-ratio", "NaN", "NUMBER"),
        ("x-ratio", "inf", "NUMBER"),
        ("x-flag", "s3cr3t", "BOOLEAN"),
        ("x-region", "s3cr3t", "ONE_OF"),
        ("x-wrapped", "256", "NUMBER"),
        ("x-trace-bin", "s3cr3t*", "BINARY"),
    ];
    for (name, value, reason) in cases {
        let mut fields = vec![("x-text", "t"), ("x-count", "1")];
        fields.retain(|field| field.0 != name);
        fields.push((name, value));
        let wrong = parse::<Everything>(&typed, &fields).map(|_| ());
        assert_eq!(
            wrong,
            Err(vec![(format!("header.{name}"), reason)]),
            "{name}: {value}"
        );
    }
    let missing = parse::<Everything>(&typed, &[("x-count", "1")]).map(|_| ());
    assert_eq!(missing, Err(vec![("header.x-text".into(), "REQUIRED")]));
    let twice = [("x-text", "a"), ("x-text", "b"), ("x-count", "1")];
    let twice = parse::<Everything>(&typed, &twice).map(|_| ());
    assert_eq!(twice, Err(vec![("header.x-text".into(), "DUPLICATE")]));
    let high = typed.leave_in(&mut Extensions::new(), &{
        let mut headers = headers(&[("x-count", "1")]);
        headers.insert("x-text", HeaderValue::from_bytes(b"\xff").unwrap());
        headers
    });
    assert_eq!(high[0].reason(), "VALUE_CHARS");

    let mut headers = headers(&[("x-text", "t"), ("x-count", "s3cr3t")]);
    headers.insert("x-region", HeaderValue::from_static("s3cr3t"));
    let told = typed.leave_in(&mut Extensions::new(), &headers);
    assert!(!format!("{told:?}").contains("s3cr3t"));
}

/// Reads one field, `x-a`, into a type.
fn read<T>(value: &str) -> Result<T, (String, &'static str)>
where
    T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
{
    #[derive(Deserialize)]
    struct One<T> {
        #[serde(rename = "x-a")]
        a: T,
    }
    let typed = TypedMetadata::of::<One<T>>().unwrap();
    match parse::<One<T>>(&typed, &[("x-a", value)]) {
        Ok(one) => Ok(one.a.clone()),
        Err(wrong) => Err(wrong[0].clone()),
    }
}

#[test]
fn numbers_of_every_size_end_where_their_type_does() {
    fn ends<T>(least: &str, most: &str, beyond: [&str; 2])
    where
        T: serde::de::DeserializeOwned + ToString + Clone + Send + Sync + 'static,
    {
        for number in [least, most] {
            assert_eq!(read::<T>(number).map(|n| n.to_string()), Ok(number.into()));
        }
        for number in beyond {
            let wrong = read::<T>(number).map(|n| n.to_string());
            assert_eq!(wrong, Err(("header.x-a".into(), "NUMBER")), "{number}");
        }
    }
    ends::<i8>("-128", "127", ["-129", "128"]);
    ends::<i16>("-32768", "32767", ["-32769", "32768"]);
    ends::<i32>("-2147483648", "2147483647", ["-2147483649", "2147483648"]);
    ends::<u8>("0", "255", ["-1", "256"]);
    ends::<u32>("0", "4294967295", ["-1", "4294967296"]);
    ends::<u64>("0", "18446744073709551615", ["-1", "18446744073709551616"]);
    let (low, high) = (i128::MIN.to_string(), i128::MAX.to_string());
    ends::<i128>(&low, &high, ["", "1e3"]);
    ends::<u128>("0", &u128::MAX.to_string(), ["-1", "0x1"]);
    ends::<f32>("-0.5", "16777216", ["1e39", "-inf"]);
}

#[test]
fn a_character_and_octets_are_read_as_they_are() {
    assert_eq!(read::<char>("\u{e9}"), Ok('\u{e9}'));
    let wrong = read::<char>("s3cr3t");
    assert_eq!(wrong, Err(("header.x-a".into(), "FORMAT")));
    #[derive(Debug, Deserialize)]
    struct Octets {
        // Not a name of binary values: nothing is decoded.
        #[serde(rename = "x-a", deserialize_with = "borrowed")]
        a: Vec<u8>,
    }
    fn borrowed<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Bytes)
    }
    let typed = TypedMetadata::of::<Octets>().unwrap();
    let octets = parse::<Octets>(&typed, &[("x-a", "AAE\u{e9}")]).unwrap();
    assert_eq!(octets.a, "AAE\u{e9}".as_bytes());
}

#[test]
fn what_has_no_form_in_a_field_is_an_error_when_its_type_is_named() {
    #[derive(Deserialize)]
    struct One<T> {
        #[expect(dead_code, reason = "only its shape matters")]
        x_a: T,
    }
    #[derive(Deserialize)]
    struct Unit;
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Pair(u8, u8);
    fn refused<T: serde::de::DeserializeOwned + Send + Sync + 'static>() {
        let named = TypedMetadata::of::<One<T>>();
        assert!(named.is_err(), "{}", type_name::<T>());
    }
    refused::<std::collections::BTreeMap<String, String>>();
    refused::<(u8, u8)>();
    refused::<Pair>();
    refused::<()>();
    refused::<Unit>();
    refused::<Option<Pair>>();
    refused::<Vec<Pair>>();
}

#[test]
fn a_type_that_fields_cannot_be_read_into_is_an_error_when_it_is_named() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Nested {
        x_inner: Option<Inner>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Inner {
        a: u8,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Flat {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Lists {
        fine: String,
        x_lists: Vec<Vec<u8>>,
    }
    #[derive(Deserialize)]
    struct Nothing {}

    for invalid in [
        TypedMetadata::of::<Nested>().map(|_| ()),
        TypedMetadata::of::<Flat>().map(|_| ()),
        TypedMetadata::of::<Lists>().map(|_| ()),
        TypedMetadata::of::<String>().map(|_| ()),
        TypedMetadata::of::<Vec<String>>().map(|_| ()),
        TypedMetadata::of::<()>().map(|_| ()),
    ] {
        assert!(
            invalid
                .unwrap_err()
                .to_string()
                .contains("must be a struct")
        );
    }
    assert!(TypedMetadata::of::<Nothing>().is_ok());
    let error = TypedMetadata::of::<Nested>().unwrap_err().to_string();
    assert!(error.contains("Nested"), "{error}");
}

#[cfg(feature = "validator")]
#[test]
fn what_validator_finds_is_told_without_the_values_it_adds() {
    #[derive(Debug, Deserialize, validator::Validate)]
    #[serde(rename_all = "kebab-case")]
    struct Page {
        #[validate(range(min = 1, max = 100, message = "must be from 1 to 100"))]
        x_page_size: u32,
        #[validate(length(max = 3))]
        x_note: Option<String>,
        #[validate(email)]
        #[serde(rename = "x-mail")]
        contact: Option<String>,
    }
    let typed = TypedMetadata::checked::<Page>().unwrap();
    let fine = [("x-page-size", "100"), ("x-note", "abc")];
    assert_eq!(parse::<Page>(&typed, &fine).unwrap().x_page_size, 100);

    let wrong = [
        ("x-page-size", "5432101"),
        ("x-note", "s3cr3t"),
        ("x-mail", "s3cr3t"),
    ];
    let found = parse::<Page>(&typed, &wrong).map(|_| ());
    let expected = [
        // Renamed to something else: which header that is, nobody says.
        ("header".to_owned(), "EMAIL"),
        ("header.x-note".to_owned(), "LENGTH"),
        ("header.x-page-size".to_owned(), "RANGE"),
    ];
    assert_eq!(found, Err(expected.to_vec()));
    let told = typed.leave_in(&mut Extensions::new(), &headers(&wrong));
    let told = format!("{told:?}");
    assert!(told.contains("must be from 1 to 100"), "{told}");
    assert!(
        !told.contains("s3cr3t") && !told.contains("5432101"),
        "{told}"
    );
}

#[cfg(feature = "validator")]
#[test]
fn errors_that_say_nothing_are_a_refusal_all_the_same() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Odd {
        #[expect(dead_code, reason = "only its error matters")]
        x_odd: u8,
    }
    impl validator::Validate for Odd {
        fn validate(&self) -> Result<(), validator::ValidationErrors> {
            Err(validator::ValidationErrors::new())
        }
    }
    let typed = TypedMetadata::checked::<Odd>().unwrap();
    let found = parse::<Odd>(&typed, &[("x-odd", "1")]).map(|_| ());
    assert_eq!(found, Err(vec![("header".to_owned(), "INVALID")]));
}
