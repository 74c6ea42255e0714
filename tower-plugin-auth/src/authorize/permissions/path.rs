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
/// what precedes them must be a name: some readers cut them off.
pub(super) fn is_plain(segment: &str, is_last: bool) -> bool {
    if segment.is_empty() {
        return is_last;
    }
    let name = segment.split(';').next().unwrap_or_default();
    !name.bytes().all(|byte| byte == b'.') && is_spelled_canonically(segment.as_bytes())
}

fn is_spelled_canonically(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', high, low, rest @ ..] => {
                let (Some(high), Some(low)) = (upper_hex(*high), upper_hex(*low)) else {
                    return false;
                };
                if !needs_its_escape(high << 4 | low) {
                    return false;
                }
                rest
            }
            [byte, rest @ ..] if is_pchar(*byte) => rest,
            _ => return false,
        };
    }
}

/// Whether it is written as an escape by everybody, and stands for nothing but itself when decoded.
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
