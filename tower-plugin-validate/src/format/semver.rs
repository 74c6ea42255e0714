//! Engine: versions.

use super::scan::{ALNUM, DIGIT, DOT, HYPHEN, Scan, all, step};
use crate::octets::is_digit;

/// The grammar of semver.org, numbers of 64 bits.
#[inline(never)]
pub(super) fn is_exact(text: &[u8]) -> bool {
    let Some(rest) = numbers(text) else {
        return false;
    };
    let mut scan = Scan::new(rest);
    (!scan.eat(b'-') || identifiers(&mut scan, true))
        && (!scan.eat(b'+') || identifiers(&mut scan, false))
        && scan.is_done()
}

/// `[0-9]+\.[0-9]+\.[0-9]+(-[a-zA-Z0-9.-]+)?`
#[inline(never)]
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

/// What comes after three numbers.
fn numbers(text: &[u8]) -> Option<&[u8]> {
    let [b'.', minor @ ..] = number(text)? else {
        return None;
    };
    let [b'.', patch @ ..] = number(minor)? else {
        return None;
    };
    number(patch)
}

/// What comes after a number: no digit, if it starts with a zero.
fn number(text: &[u8]) -> Option<&[u8]> {
    let (first, mut rest) = text.split_first()?;
    let mut value = digit(*first)?;
    while let [next, after @ ..] = rest
        && let Some(next) = digit(*next)
    {
        if value == 0 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(next)?;
        rest = after;
    }
    step(text.len() - rest.len() + 1);
    Some(rest)
}

fn digit(octet: u8) -> Option<u64> {
    is_digit(octet).then(|| u64::from(octet - b'0'))
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
