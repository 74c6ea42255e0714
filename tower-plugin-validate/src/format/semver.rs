//! Engine: versions.

use super::scan::{ALNUM, DIGIT, DOT, HYPHEN, Scan, all};

/// The grammar of semver.org, numbers of 64 bits.
pub(super) fn is_exact(text: &[u8]) -> bool {
    let mut scan = Scan::new(text);
    number(&mut scan)
        && scan.eat(b'.')
        && number(&mut scan)
        && scan.eat(b'.')
        && number(&mut scan)
        && (!scan.eat(b'-') || identifiers(&mut scan, true))
        && (!scan.eat(b'+') || identifiers(&mut scan, false))
        && scan.is_done()
}

/// `[0-9]+\.[0-9]+\.[0-9]+(-[a-zA-Z0-9.-]+)?`
pub(super) fn is_lenient(text: &[u8]) -> bool {
    let mut scan = Scan::new(text);
    digits(&mut scan)
        && scan.eat(b'.')
        && digits(&mut scan)
        && scan.eat(b'.')
        && digits(&mut scan)
        && (!scan.eat(b'-') || !scan.take(ALNUM | DOT | HYPHEN).is_empty())
        && scan.is_done()
}

fn digits(scan: &mut Scan<'_>) -> bool {
    !scan.take(DIGIT).is_empty()
}

fn number(scan: &mut Scan<'_>) -> bool {
    match scan.take(DIGIT) {
        [] => false,
        [b'0'] => true,
        [b'0', ..] => false,
        digits => {
            let value = digits.iter().try_fold(0_u64, |sum, digit| {
                sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            });
            value.is_some()
        }
    }
}

/// Dot-separated words; of those before `+`, numbers have no leading zero.
fn identifiers(scan: &mut Scan<'_>, no_leading_zero: bool) -> bool {
    loop {
        let word = scan.take(ALNUM | HYPHEN);
        let padded = matches!(word, [b'0', _, ..]) && all(word, DIGIT);
        if word.is_empty() || no_leading_zero && padded {
            return false;
        }
        if !scan.eat(b'.') {
            return true;
        }
    }
}
