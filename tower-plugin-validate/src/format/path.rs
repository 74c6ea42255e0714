//! Engine: paths of plain segments.

use super::{
    scan::{ALNUM, DOT, HYPHEN, SLASH, TILDE, UNDERSCORE, all, step},
    word::has_double_dot,
};

#[inline(never)]
pub(super) fn is_endpoint(text: &[u8]) -> bool {
    text.first() == Some(&b'/')
        && all(text, ALNUM | DOT | HYPHEN | SLASH | TILDE | UNDERSCORE)
        && !has_double_dot(text)
        && no_slashes_meet(text)
        && segments(text).all(|segment| segment != b".")
}

fn no_slashes_meet(text: &[u8]) -> bool {
    step(text.len());
    !text.windows(2).any(|pair| pair == b"//")
}

#[inline(never)]
pub(super) fn is_file(text: &[u8]) -> bool {
    step(text.len());
    core::str::from_utf8(text).is_ok_and(|text| {
        step(text.len());
        !text.chars().any(is_forbidden)
    }) && segments(text).all(is_file_name)
}

fn segments(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    step(text.len());
    text.split(|&b| b == b'/')
}

/// Controls, line separators, direction overrides, and what some file system gives a meaning.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || "\\:*?\"<>|".contains(c)
}

/// Windows takes dots and spaces off the end of a name, and a device name with any ending for the
/// device.
fn is_file_name(name: &[u8]) -> bool {
    let stem = name.split(|&b| b == b'.').next().unwrap_or_default();
    let stem = stem.trim_ascii_end();
    !name.is_empty()
        && name.len() <= 255
        && name.first() != Some(&b' ')
        && !matches!(name.last(), Some(b'.' | b' '))
        && !DEVICES
            .iter()
            .any(|device| device.eq_ignore_ascii_case(stem))
        && !is_numbered_device(stem)
}

/// `COM1` to `LPT9`, the digit also as a superscript.
fn is_numbered_device(stem: &[u8]) -> bool {
    let Some((device, number)) = stem.split_at_checked(3) else {
        return false;
    };
    let number = matches!(number, [b'0'..=b'9'])
        || ["\u{b9}", "\u{b2}", "\u{b3}"]
            .iter()
            .any(|n| n.as_bytes() == number);
    number && (device.eq_ignore_ascii_case(b"com") || device.eq_ignore_ascii_case(b"lpt"))
}

const DEVICES: [&[u8]; 6] = [b"aux", b"con", b"conin$", b"conout$", b"nul", b"prn"];
