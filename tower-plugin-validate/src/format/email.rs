//! Engine: email addresses.

use super::{
    host,
    scan::{ATEXT, is, step},
};

#[inline(never)]
pub(super) fn is_email(text: &[u8]) -> bool {
    step(text.len());
    // Atoms, separated by dots, up to the `@`.
    let mut before = b'.';
    for (at, &b) in text.iter().enumerate() {
        if is(b, ATEXT) {
            before = b;
            continue;
        }
        match b {
            _ if before == b'.' => return false,
            b'.' => before = b,
            b'@' => return at <= MAX_LOCAL && text.get(at + 1..).is_some_and(host::is_domain),
            _ => return false,
        }
    }
    false
}

/// RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL: usize = 64;
