//! Engine: host names.

use super::scan::{ALNUM, ALPHA, HYPHEN, Scan, is};

/// At least two labels, the last of which starts with a letter.
pub(super) fn is_domain(text: &[u8]) -> bool {
    matches!(labels(text), Some((2.., last)) if starts_with_letter(last))
}

/// One label that starts with a letter: a name on a local network.
pub(super) fn is_local_name(text: &[u8]) -> bool {
    matches!(labels(text), Some((1, last)) if starts_with_letter(last))
}

fn starts_with_letter(label: &[u8]) -> bool {
    label.first().is_some_and(|&b| is(b, ALPHA))
}

/// How many labels there are, and the last one, if each is letters, digits and inner hyphens.
fn labels(text: &[u8]) -> Option<(usize, &[u8])> {
    if text.len() > MAX_NAME {
        return None;
    }
    let mut scan = Scan::new(text);
    let mut count = 1;
    loop {
        let label = scan.take(ALNUM | HYPHEN);
        if label.is_empty()
            || label.len() > MAX_LABEL
            || label.first() == Some(&b'-')
            || label.last() == Some(&b'-')
        {
            return None;
        }
        if scan.is_done() {
            return Some((count, label));
        }
        if !scan.eat(b'.') {
            return None;
        }
        count += 1;
    }
}

/// RFC 1035, section 2.3.4, as text.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
