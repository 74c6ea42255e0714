//! Engine: the bytes that are signed.

use serde_json::{Map, Value};

/// What every signed document begins with: a signature made for something else is not one of a manifest.
pub(super) const PREFIX: &[u8] = b"tower-plugin manifest 1\n";

/// The prefix, then the document without its `signature` in the form of RFC 8785: no white space, members
/// sorted by name, strings escaped only where they have to be, integers in decimal.
///
/// `None` if it is no object, or holds a number that is not a non-negative integer.
pub(super) fn signed_bytes(document: &Value) -> Option<Vec<u8>> {
    let mut out = PREFIX.to_vec();
    write_object(document.as_object()?, Some("signature"), &mut out)?;
    Some(out)
}

fn write_object(
    object: &Map<String, Value>,
    leave_out: Option<&str>,
    out: &mut Vec<u8>,
) -> Option<()> {
    // Their order in memory hangs on a feature of serde_json that anybody may turn on. All names are ASCII, so
    // sorting by byte is sorting by UTF-16.
    let mut members: Vec<_> = object
        .iter()
        .filter(|(name, _)| leave_out != Some(name.as_str()))
        .collect();
    members.sort_unstable_by_key(|(name, _)| name.as_str());
    out.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Some(())
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            out.extend_from_slice(number.as_u64()?.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(value, out)?;
            }
            out.push(b']');
        }
        Value::Object(object) => write_object(object, None, out)?,
    }
    Some(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            ..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> Option<String> {
        let bytes = signed_bytes(&serde_json::from_str(json).unwrap())?;
        let text = bytes.strip_prefix(PREFIX).unwrap();
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn the_form_is_that_of_rfc_8785() {
        // Section 3.2.4's sample string, and members out of order.
        let json = r#" { "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "b" : [ 10 , true,null, {} ],
            "a": {"z": false, "signature": "kept"}, "signature": {"left": "out"} } "#;
        assert_eq!(
            canonical(json).unwrap(),
            r#"{"a":{"signature":"kept","z":false},"b":[10,true,null,{}],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        assert_eq!(
            canonical("{\"a\":\"\\b\\t\\f\\r\\u007f\"}").unwrap(),
            "{\"a\":\"\\b\\t\\f\\r\u{7f}\"}"
        );
    }

    #[test]
    fn what_has_several_forms_has_none() {
        for json in ["[]", "1", r#"{"a":1.5}"#, r#"{"a":1e2}"#, r#"{"a":-1}"#] {
            assert_eq!(canonical(json), None, "{json}");
        }
    }
}
