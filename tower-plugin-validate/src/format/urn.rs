//! Engine: URNs.

use super::scan::{ALNUM, HYPHEN, PCHAR, QUESTION, SLASH, Scan};

#[inline(never)]
pub(super) fn is_urn(text: &[u8]) -> bool {
    let Some((scheme, rest)) = text.split_at_checked(4) else {
        return false;
    };
    let mut scan = Scan::new(rest);
    scheme.eq_ignore_ascii_case(b"urn:")
        && is_namespace(scan.take(ALNUM | HYPHEN))
        && scan.eat(b':')
        && starts_with_character(scan)
        && scan.take_escaped(PCHAR | SLASH).is_some()
        && has_components(&mut scan)
        && (!scan.eat(b'#') || scan.take_escaped(PCHAR | SLASH | QUESTION).is_some())
        && scan.is_done()
}

/// Two to 32 letters, digits and inner hyphens.
fn is_namespace(id: &[u8]) -> bool {
    (2..=32).contains(&id.len()) && id.first() != Some(&b'-') && id.last() != Some(&b'-')
}

/// `?+` or `?=` and what they introduce, which may be one another.
fn has_components(scan: &mut Scan<'_>) -> bool {
    if !scan.eat(b'?') {
        return true;
    }
    (scan.eat(b'+') || scan.eat(b'='))
        && starts_with_character(*scan)
        && scan.take_escaped(PCHAR | SLASH | QUESTION).is_some()
}

/// Whether a character or an escape comes first, not a slash.
fn starts_with_character(mut ahead: Scan<'_>) -> bool {
    ahead.eat_one(PCHAR) || ahead.eat(b'%')
}
