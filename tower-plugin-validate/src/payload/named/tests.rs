use std::{collections::BTreeMap, net::IpAddr};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by serde alone")]
struct Order {
    customer_name: String,
    #[serde(default)]
    lines: Vec<Line>,
    #[serde(default)]
    labels: BTreeMap<String, u8>,
    payment: Option<Payment>,
    point: Option<(u8, u8)>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde alone")]
struct Line {
    sku: Box<str>,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by serde alone")]
enum Payment {
    Cash,
    Card { number: u64 },
    Transfer(Line),
}

fn failure(text: &str) -> (String, &'static str) {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let failure = deserialize::<Order, _>(&mut deserializer).unwrap_err();
    (failure.path().to_owned(), failure.why().reason())
}

#[test]
fn a_failure_is_found_by_the_names_of_the_type() {
    let cases = [
        (r#"{"lines":[]}"#, "customerName", "REQUIRED"),
        (r#"{"customerName":7}"#, "customerName", "TYPE"),
        (r#"{"customerName":null}"#, "customerName", "TYPE"),
        (r#"[]"#, "", "LENGTH"),
        (r#"7"#, "", "TYPE"),
        (
            r#"{"lines":[{"sku":"a","quantity":1},{"sku":"a"}]}"#,
            "lines[1].quantity",
            "REQUIRED",
        ),
        (
            r#"{"lines":[{"sku":"a","quantity":"SECRET"}]}"#,
            "lines[0].quantity",
            "TYPE",
        ),
        (
            r#"{"lines":[{"sku":"a","quantity":-1}]}"#,
            "lines[0].quantity",
            "VALUE",
        ),
        (
            r#"{"lines":[{"sku":"a","quantity":1,"sku":"b"}]}"#,
            "lines[0].sku",
            "DUPLICATE",
        ),
        (r#"{"labels":{"SECRET":"x"}}"#, "labels.*", "TYPE"),
        (r#"{"SECRET":1}"#, "", "UNKNOWN_FIELD"),
        (
            r#"{"customerName":"a","payment":"SECRET"}"#,
            "payment",
            "ENUM",
        ),
        (
            r#"{"payment":{"card":{"number":"SECRET"}}}"#,
            "payment.number",
            "TYPE",
        ),
        (
            r#"{"payment":{"transfer":{"sku":1}}}"#,
            "payment.sku",
            "TYPE",
        ),
        (r#"{"point":[1]}"#, "point", "LENGTH"),
        (r#"{"point":[1,"x"]}"#, "point[1]", "TYPE"),
    ];
    for (text, path, reason) in cases {
        assert_eq!(failure(text), (path.to_owned(), reason), "{text}");
    }
}

/// Everything serde can make of a type.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Shapes {
    unit: (),
    marker: Marker,
    wrapped: Wrapped,
    pair: Pair,
    letter: char,
    /// Of two forms, of which people read one.
    address: IpAddr,
    wide: i128,
    nested: Vec<BTreeMap<String, Option<Wrapped>>>,
    outside: Outside,
    inside: Inside,
    beside: Beside,
    any: Untagged,
    even: Option<Even>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Marker;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Wrapped(u8);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Pair(bool, i16);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Outside {
    Two(u8, u8),
    Unit,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "is")]
enum Inside {
    Card { number: u64 },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "is", content = "with")]
enum Beside {
    Sizes(Vec<u8>),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Words(Vec<String>),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
struct Even(u8);

impl TryFrom<u8> for Even {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number % 2 {
            0 => Ok(Self(number)),
            _ => Err(format!("SECRET: {number}")),
        }
    }
}

impl From<Even> for u8 {
    fn from(even: Even) -> Self {
        even.0
    }
}

fn shapes() -> Shapes {
    Shapes {
        unit: (),
        marker: Marker,
        wrapped: Wrapped(1),
        pair: Pair(true, -7),
        letter: '\u{e9}',
        address: [127, 0, 0, 1].into(),
        wide: -8,
        nested: vec![
            BTreeMap::new(),
            [("a".to_owned(), Some(Wrapped(2))), ("b".to_owned(), None)].into(),
        ],
        outside: Outside::Two(3, 4),
        inside: Inside::Card { number: u64::MAX },
        beside: Beside::Sizes(vec![5]),
        any: Untagged::Words(vec!["a".to_owned()]),
        even: Some(Even(6)),
    }
}

#[test]
fn every_shape_of_a_type_is_read_as_serde_reads_it() {
    let mut other = shapes();
    other.outside = Outside::Unit;
    other.any = Untagged::Number(8);
    other.even = None;
    for shapes in [shapes(), other] {
        let text = serde_json::to_string(&shapes).unwrap();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let read = deserialize::<Shapes, _>(&mut deserializer);
        assert_eq!(read.unwrap(), shapes);
    }
}

#[test]
fn a_failure_is_found_in_every_shape() {
    let cases = [
        ("unit", "0", "unit", "TYPE"),
        ("marker", "{}", "marker", "TYPE"),
        ("wrapped", "256", "wrapped", "VALUE"),
        ("pair", "[true]", "pair", "LENGTH"),
        ("pair", "[true, 40000]", "pair[1]", "VALUE"),
        // The parser's own, that the visitor is not asked about.
        ("pair", "[true, 1, 2]", "pair", "VALUE"),
        ("letter", r#""SECRET""#, "letter", "VALUE"),
        ("address", r#""SECRET""#, "address", "VALUE"),
        ("wide", r#""SECRET""#, "wide", "VALUE"),
        ("nested", r#"[{}, {"SECRET": -1}]"#, "nested[1].*", "VALUE"),
        // A field of another type is no name of this one.
        ("nested", r#"[{"wrapped": []}]"#, "nested[0].*", "TYPE"),
        ("outside", r#"{"Two": [1]}"#, "outside", "LENGTH"),
        ("outside", r#"{"Two": [1, "SECRET"]}"#, "outside[1]", "TYPE"),
        ("outside", r#"{"SECRET": []}"#, "outside", "ENUM"),
        ("outside", r#"{"Unit": [1]}"#, "outside", "TYPE"),
        ("outside", "7", "outside", "VALUE"),
        ("inside", r#"{"number": 1}"#, "inside.is", "REQUIRED"),
        ("inside", r#"{"is": "Card"}"#, "inside.number", "REQUIRED"),
        ("inside", r#"{"is": "SECRET"}"#, "inside.*", "ENUM"),
        // serde keeps what is beside a tag, and reads it without its names.
        (
            "inside",
            r#"{"is": "Card", "number": "SECRET"}"#,
            "inside",
            "TYPE",
        ),
        (
            "beside",
            r#"{"is": "Sizes", "with": [1, "SECRET"]}"#,
            "beside.with[1]",
            "TYPE",
        ),
        ("beside", r#"{"is": "Sizes"}"#, "beside.with", "REQUIRED"),
        ("any", r#"{"SECRET": 1}"#, "any", "VALUE"),
        ("even", "7", "even", "VALUE"),
        ("even", "{}", "even", "TYPE"),
    ];
    for (field, value, path, reason) in cases {
        let mut all = serde_json::to_value(shapes()).unwrap();
        all[field] = serde_json::from_str(value).unwrap();
        let text = all.to_string();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let failure = deserialize::<Shapes, _>(&mut deserializer).unwrap_err();
        let found = (failure.path(), failure.why().reason());
        assert_eq!(found, (path, reason), "{field}: {value}");
    }
}

#[test]
fn what_was_made_up_for_is_not_the_failure() {
    fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        Ok(u8::deserialize(deserializer).unwrap_or_default())
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Page {
        #[serde(deserialize_with = "or_default")]
        size: u8,
        page: u8,
    }
    let mut deserializer = serde_json::Deserializer::from_str(r#"{"size":-1,"page":}"#);
    let failure = deserialize::<Page, _>(&mut deserializer).unwrap_err();
    assert_eq!(failure.path(), "page");
    assert!(failure.source().is_some_and(serde_json::Error::is_syntax));
}

#[test]
fn a_type_is_told_apart_from_its_deserializer() {
    let told = |text: &str| serde_json::from_str::<Told<Line>>(text);
    assert!(told(r#"{"sku":"a","quantity":1}"#).unwrap().0.is_ok());
    let failure = told(r#"{"sku":"a","quantity":-1}"#);
    let failure = failure.unwrap().0.unwrap_err();
    assert_eq!((failure.path(), failure.why()), ("quantity", Why::Value));
    assert!(told(r#"{"sku":"a","quantity":}"#).unwrap_err().is_syntax());
}

#[test]
fn what_the_parser_says_is_kept_apart() {
    let mut deserializer = serde_json::Deserializer::from_str(r#"{"customerName":"a","lines":[}"#);
    let failure = deserialize::<Order, _>(&mut deserializer).unwrap_err();
    assert_eq!(failure.path(), "lines[0]");
    assert!(failure.source().unwrap().is_syntax());
}

#[test]
fn a_form_fails_by_name_too() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Page {
        page: u32,
        size: Option<u32>,
    }
    let failure = |text: &str| {
        let parsed = form_urlencoded::parse(text.as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(parsed);
        let failure = deserialize::<Page, _>(deserializer).unwrap_err();
        (failure.path().to_owned(), failure.why().reason())
    };
    assert_eq!(failure("page=SECRET"), ("page".to_owned(), "VALUE"));
    assert_eq!(failure("size=1"), ("page".to_owned(), "REQUIRED"));
    assert_eq!(failure("page=1&page=2"), ("page".to_owned(), "DUPLICATE"));
}

#[test]
fn a_form_has_fields_of_every_kind() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Kinds {
        bool: bool,
        i8: i8,
        i16: i16,
        i32: i32,
        i64: i64,
        u8: u8,
        u16: u16,
        u32: u32,
        u64: u64,
        f32: f32,
        f64: f64,
        char: char,
        text: String,
        newtype: Wrapped,
        optional: Option<u8>,
        unit: Outside,
    }
    let text = "bool=true&i8=-1&i16=-2&i32=-3&i64=-4&u8=1&u16=2&u32=3&u64=4&f32=0.5&f64=1.5&\
        char=%C3%A9&text=a+b%20c&newtype=9&optional=8&unit=Unit&unknown=1";
    let read = |text: &str| {
        let parsed = form_urlencoded::parse(text.as_bytes());
        deserialize::<Kinds, _>(serde_urlencoded::Deserializer::new(parsed))
    };
    let kinds = Kinds {
        bool: true,
        i8: -1,
        i16: -2,
        i32: -3,
        i64: -4,
        u8: 1,
        u16: 2,
        u32: 3,
        u64: 4,
        f32: 0.5,
        f64: 1.5,
        char: '\u{e9}',
        text: "a b c".to_owned(),
        newtype: Wrapped(9),
        optional: Some(8),
        unit: Outside::Unit,
    };
    assert_eq!(read(text).unwrap(), kinds);
    for (right, wrong, reason) in [
        ("bool=true", "bool=SECRET", "VALUE"),
        ("u8=1", "u8=256", "VALUE"),
        ("f32=0.5", "f32=", "VALUE"),
        ("char=%C3%A9", "char=SECRET", "VALUE"),
        ("optional=8", "optional=SECRET", "VALUE"),
        ("newtype=9", "newtype=SECRET", "VALUE"),
        ("unit=Unit", "unit=SECRET", "ENUM"),
        ("unit=Unit", "unit=Two", "VALUE"),
    ] {
        let failure = read(&text.replacen(right, wrong, 1)).unwrap_err();
        let field = wrong.split('=').next().unwrap();
        let found = (failure.path(), failure.why().reason());
        assert_eq!(found, (field, reason), "{wrong}");
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_read_is_what_serde_reads(value in json()) {
        let text = value.to_string();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        prop_assert_eq!(deserialize::<Value, _>(&mut deserializer).unwrap(), value);
    }
}
