use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
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
