//! Engine: the members of a JSON object, found without building a document.
//!
//! What reads a Connect error here need only be exact about what it takes for one. Anything it is not sure of (an
//! escape in a name, a name that is repeated, no JSON) is [`Malformed`], and treated as the worst.

/// It is not an object this module can speak for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// The text of the value under `name` in the object `text`, if it has one.
pub(super) fn member<'a>(text: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Malformed> {
    let mut found = None;
    let mut rest = punctuation(text, b'{')?;
    if let Ok(after) = punctuation(rest, b'}') {
        return end(after).map(|()| None);
    }
    loop {
        let (key, after) = string(space(rest))?;
        if key.contains(&b'\\') {
            return Err(Malformed);
        }
        let (value, after) = value(punctuation(after, b':')?)?;
        if key == name.as_bytes() && found.replace(value).is_some() {
            return Err(Malformed);
        }
        match punctuation(after, b',') {
            Ok(after) => rest = after,
            Err(Malformed) => {
                return end(punctuation(after, b'}')?).map(|()| found);
            }
        }
    }
}

/// What stands between the quotes of a string that has no escapes.
pub(super) fn plain_string(text: &[u8]) -> Option<&[u8]> {
    let (content, rest) = string(text).ok()?;
    (rest.is_empty() && !content.contains(&b'\\')).then_some(content)
}

fn end(rest: &[u8]) -> Result<(), Malformed> {
    match space(rest).is_empty() {
        true => Ok(()),
        false => Err(Malformed),
    }
}

fn space(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| b" \t\n\r".contains(byte);
    let start = text.iter().position(|byte| !is_space(byte));
    start
        .and_then(|start| text.get(start..))
        .unwrap_or_default()
}

/// What comes after `mark`, which must come next.
fn punctuation(text: &[u8], mark: u8) -> Result<&[u8], Malformed> {
    match space(text).split_first() {
        Some((&byte, rest)) if byte == mark => Ok(rest),
        _ => Err(Malformed),
    }
}

/// What stands between the quotes, escapes as they are, and what comes after them.
fn string(text: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let inside = text.strip_prefix(b"\"").ok_or(Malformed)?;
    let mut is_escaped = false;
    for (at, &byte) in inside.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => {
                let (content, rest) = inside.split_at_checked(at).ok_or(Malformed)?;
                return Ok((content, rest.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(Malformed)
}

/// The text of a value, and what comes after it. Brackets are counted, not matched.
fn value(text: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let text = space(text);
    let mut rest = text;
    let mut depth = 0_usize;
    loop {
        let (&first, tail) = rest.split_first().ok_or(Malformed)?;
        rest = match first {
            b'"' => string(rest)?.1,
            b'{' | b'[' => {
                depth += 1;
                tail
            }
            b'}' | b']' | b',' | b':' if depth == 0 => return Err(Malformed),
            b'}' | b']' => {
                depth -= 1;
                tail
            }
            _ => {
                let ends = |byte: &u8| b" \t\n\r,:]}[{\"".contains(byte);
                let end = tail.iter().position(ends).unwrap_or(tail.len());
                tail.get(end..).unwrap_or_default()
            }
        };
        if depth == 0 {
            let length = text.len() - rest.len();
            return Ok((text.get(..length).unwrap_or_default(), rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn a_member_is_found_or_the_object_is_malformed() {
        let cases: [(&str, Result<Option<&str>, Malformed>); 17] = [
            (r#"{}"#, Ok(None)),
            (r#" { } "#, Ok(None)),
            (
                r#"{"error":{"code":"internal"}}"#,
                Ok(Some(r#"{"code":"internal"}"#)),
            ),
            (
                r#"{ "a" : [ "}" , {} ] , "error" : null }"#,
                Ok(Some("null")),
            ),
            (r#"{"a":{"error":1}}"#, Ok(None)),
            (r#"{"error":"a\"b"}"#, Ok(Some(r#""a\"b""#))),
            (r#"{"error":-1.5e3}"#, Ok(Some("-1.5e3"))),
            // Two readers could differ.
            (r#"{"error":1,"error":2}"#, Err(Malformed)),
            (r#"{"err\u006fr":1}"#, Err(Malformed)),
            (r#"{"error":1"#, Err(Malformed)),
            (r#"{"error"}"#, Err(Malformed)),
            (r#"{"error":}"#, Err(Malformed)),
            (r#"{"error":[}"#, Err(Malformed)),
            (r#"{"error":1}}"#, Err(Malformed)),
            (r#"["error"]"#, Err(Malformed)),
            ("", Err(Malformed)),
            ("\u{1f}\u{8b}", Err(Malformed)),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|value| value.map(str::as_bytes));
            assert_eq!(member(text.as_bytes(), "error"), expected, "{text}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                object(inner).prop_map(Value::Object),
            ]
        })
    }

    fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        let name = prop_oneof![Just("error".to_owned()), "[a-z:{}, ]{0,4}"];
        prop::collection::btree_map(name, value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_member_is_what_a_parser_finds(object in object(json()), pretty in any::<bool>()) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&object).unwrap(),
                false => serde_json::to_string(&object).unwrap(),
            };
            let found = member(text.as_bytes(), "error").unwrap();
            let found = found.map(|value| serde_json::from_slice::<Value>(value).unwrap());
            prop_assert_eq!(found.as_ref(), object.get("error"));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = member(&bytes, "error");
        }
    }
}
