//! Engine: email addresses.

use super::{
    host,
    scan::{ATEXT, Scan},
};

pub(super) fn is_email(text: &[u8]) -> bool {
    let mut scan = Scan::new(text);
    // Atoms, separated by dots.
    loop {
        if scan.take(ATEXT).is_empty() {
            return false;
        }
        if !scan.eat(b'.') {
            break;
        }
    }
    let local = text.len() - scan.rest().len();
    local <= MAX_LOCAL && scan.eat(b'@') && host::is_domain(scan.rest())
}

/// RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL: usize = 64;
