//! Engine: whether a path is spelled so that every reader understands it alike.

/// The segments of a path, or `None` if two readers might take it for two paths.
pub(crate) fn segments(path: &str) -> Option<std::str::Split<'_, char>> {
    let rest = path.strip_prefix('/')?;
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if !is_plain(segment, is_last) {
            return None;
        }
    }
    Some(rest.split('/'))
}

/// Whether a segment is spelled in the one way that all agree on. Parameters (`;x`) are part of it, but
/// what precedes them must be a name: some readers cut them off, and some of those once `%3B` is decoded.
pub(super) fn is_plain(segment: &str, is_last: bool) -> bool {
    if segment.is_empty() {
        return is_last;
    }
    let name = segment.split(';').next().unwrap_or_default();
    let name = name.split("%3B").next().unwrap_or_default();
    !name.bytes().all(|byte| byte == b'.') && is_spelled_canonically(segment.as_bytes())
}

fn is_spelled_canonically(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', ..] => match after_escapes(text) {
                Some(rest) => rest,
                None => return false,
            },
            [byte, rest @ ..] if is_pchar(*byte) => rest,
            _ => return false,
        };
    }
}

/// What follows the escapes of one character. They must be written as everybody writes them, spell it in the one
/// encoding it has, and stand for nothing but itself when decoded.
fn after_escapes(text: &[u8]) -> Option<&[u8]> {
    let (first, mut rest) = escape(text)?;
    if first.is_ascii() {
        return needs_its_escape(first).then_some(rest);
    }
    let mut octets = [first, 0, 0, 0];
    let octets = octets.get_mut(..encoded_len(first)?)?;
    for octet in octets.iter_mut().skip(1) {
        (*octet, rest) = escape(rest)?;
    }
    // No overlong form, no half of a surrogate: some readers take those for other characters, `/` and `.` among them.
    let text = str::from_utf8(octets).ok()?;
    (!text.contains(char::is_control)).then_some(rest)
}

fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] => Some((upper_hex(*high)? << 4 | upper_hex(*low)?, rest)),
        _ => None,
    }
}

/// How many octets of UTF-8 a character takes that begins with this one (RFC 3629, section 3).
const fn encoded_len(first: u8) -> Option<usize> {
    match first {
        0xC2..=0xDF => Some(2),
        0xE0..=0xEF => Some(3),
        0xF0..=0xF4 => Some(4),
        _ => None,
    }
}

/// Whether an ASCII character is written as an escape by everybody, and stands for nothing but itself when decoded.
fn needs_its_escape(octet: u8) -> bool {
    !is_unreserved(octet) && !octet.is_ascii_control() && !matches!(octet, b'/' | b'\\' | b'%')
}

fn upper_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986, section 3.3, without the escapes.
fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}
