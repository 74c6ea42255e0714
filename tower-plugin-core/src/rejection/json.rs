//! JSON text, written by hand: three flat shapes do not owe every user of a layer a JSON crate.

/// Appends `text` as a JSON string (RFC 8259 section 7).
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some(quoted @ ('"' | '\\')) => {
                out.push('\\');
                out.push(quoted);
            }
            Some(control) => push_escape(out, control),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn push_escape(out: &mut String, control: char) {
    let code = u32::from(control);
    out.push_str("\\u00");
    for digit in [code >> 4, code & 0xf] {
        out.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

/// Appends `"name":"text"` after a comma.
pub(super) fn push_member(out: &mut String, name: &str, text: &str) {
    out.push(',');
    push_string(out, name);
    out.push(':');
    push_string(out, text);
}
