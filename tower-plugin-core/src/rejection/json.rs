//! JSON text, written by hand: three flat shapes do not owe every user of a layer a JSON crate.

/// Appends `text` as a JSON string (RFC 8259 section 7).
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    // Without an early exit the compiler looks at many bytes at a time.
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.push_str(text);
    } else {
        push_escaped(out, text);
    }
    out.push('"');
}

fn push_escaped(out: &mut String, text: &str) {
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
}

fn push_escape(out: &mut String, control: char) {
    let code = u32::from(control);
    out.push_str("\\u00");
    for digit in [code >> 4, code & 0xf] {
        out.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

/// Appends what stands before the text, `,"name":`, and the text.
pub(super) fn push_member(out: &mut String, before: &str, text: &str) {
    out.push_str(before);
    push_string(out, text);
}
