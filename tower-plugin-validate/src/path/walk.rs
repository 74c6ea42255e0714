//! Engine: the closer look at a path that holds escapes, suspicious dots or illegal characters.

use std::borrow::Cow;

use super::{EmptySegments, NonCanonical, PathRules, PathViolation, is_pchar, text};

/// Checks a path octet by octet, and spells it canonically.
#[cold]
pub(super) fn canonical<'a>(
    path: &'a [u8],
    rules: &PathRules,
) -> Result<Cow<'a, str>, PathViolation> {
    let mut rest = path.strip_prefix(b"/").ok_or(PathViolation::NotRooted)?;
    let mut canonical = true;
    let mut rewritten: Option<Vec<u8>> = None;
    let mut segment = Segment::first();
    let mut escapes = Escapes::None;
    let mut utf8 = Utf8::default();

    while !rest.is_empty() {
        let seen = path.len() - rest.len();
        let (octet, spelling, after) = next(rest)?;
        rest = after;

        utf8.push(octet)?;
        if !rules.double_encoding {
            escapes.push(octet)?;
        }
        if spelling == Spelling::Raw && octet == b'/' {
            segment.end(rules, false)?;
            segment = Segment::default();
        } else {
            segment.push(octet, rules)?;
        }

        if spelling == Spelling::Other && rewritten.is_none() {
            canonical = false;
            if rules.non_canonical != NonCanonical::Reject {
                let mut copy = Vec::with_capacity(path.len());
                copy.extend_from_slice(path.get(..seen).unwrap_or_default());
                rewritten = Some(copy);
            }
        }
        if let Some(rewritten) = &mut rewritten {
            if spelling == Spelling::Raw || is_unreserved(octet) {
                rewritten.push(octet);
            } else {
                rewritten.extend_from_slice(&[b'%', digit(octet >> 4), digit(octet & 15)]);
            }
        }
    }
    utf8.end()?;
    segment.end(rules, true)?;

    match rewritten {
        None if canonical => text(path).map(Cow::Borrowed),
        None => Err(PathViolation::NotCanonical),
        Some(rewritten) => String::from_utf8(rewritten)
            .map(Cow::Owned)
            .map_err(|_| PathViolation::NotUtf8),
    }
}

/// How an octet was written.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Spelling {
    /// As itself.
    Raw,
    /// As the escape it must be written as.
    Escaped,
    /// As an escape that the canonical spelling writes otherwise.
    Other,
}

/// Takes one octet off the path.
fn next(path: &[u8]) -> Result<(u8, Spelling, &[u8]), PathViolation> {
    match path {
        [b'%', high, low, after @ ..] => {
            let (Some(h), Some(l)) = (hex(*high), hex(*low)) else {
                return Err(PathViolation::MalformedEncoding);
            };
            let octet = h << 4 | l;
            let lower = high.is_ascii_lowercase() || low.is_ascii_lowercase();
            match octet {
                0..=0x1f | 0x7f => Err(PathViolation::Control),
                b'/' | b'\\' => Err(PathViolation::Separator),
                b'.' => Err(PathViolation::EncodedDot),
                _ if lower || is_unreserved(octet) => Ok((octet, Spelling::Other, after)),
                _ => Ok((octet, Spelling::Escaped, after)),
            }
        }
        [b'%', ..] => Err(PathViolation::MalformedEncoding),
        [0..=0x1f | 0x7f, ..] => Err(PathViolation::Control),
        [b'\\', ..] => Err(PathViolation::Separator),
        [octet, after @ ..] if is_pchar(*octet) => Ok((*octet, Spelling::Raw, after)),
        _ => Err(PathViolation::IllegalCharacter),
    }
}

/// What a segment holds, decoded.
#[derive(Default)]
struct Segment {
    first: bool,
    blank: bool,
    dots: usize,
    /// Something other than dots and spaces.
    named: bool,
    /// A parameter has begun: what some readers cut off before they look for dots.
    params: bool,
    last_was_dot: bool,
}

impl Segment {
    fn first() -> Self {
        Self {
            first: true,
            ..Self::default()
        }
    }

    fn push(&mut self, octet: u8, rules: &PathRules) -> Result<(), PathViolation> {
        let dot = octet == b'.';
        if dot && self.last_was_dot && !rules.double_dots {
            return Err(PathViolation::DotSegment);
        }
        self.last_was_dot = dot;
        match octet {
            b';' => self.params = true,
            _ if self.params => {}
            b'.' => self.dots += 1,
            // Some file systems take spaces off the end of a name.
            b' ' => self.blank = true,
            _ => self.named = true,
        }
        Ok(())
    }

    fn end(&self, rules: &PathRules, last: bool) -> Result<(), PathViolation> {
        if self.named {
            return Ok(());
        }
        if self.dots > 0 {
            return Err(PathViolation::DotSegment);
        }
        // The path has gone past a slash already, so the first segment of `/` is its last.
        let empty = !self.blank && !last;
        if empty && (self.first || rules.empty_segments == EmptySegments::Reject) {
            return Err(PathViolation::EmptySegment);
        }
        Ok(())
    }
}

/// How far the decoded octets look like an escape themselves.
enum Escapes {
    None,
    Percent,
    OneDigit,
}

impl Escapes {
    fn push(&mut self, octet: u8) -> Result<(), PathViolation> {
        *self = match (&self, octet) {
            (_, b'%') => Self::Percent,
            // `%u002f`, which some servers decode.
            (Self::Percent, b'u' | b'U') => return Err(PathViolation::DoubleEncoding),
            (Self::Percent, _) if octet.is_ascii_hexdigit() => Self::OneDigit,
            (Self::OneDigit, _) if octet.is_ascii_hexdigit() => {
                return Err(PathViolation::DoubleEncoding);
            }
            _ => Self::None,
        };
        Ok(())
    }
}

/// The character that the last octets are part of. An octet that interrupts it is taken for a part
/// of it, and fails with it.
#[derive(Default)]
struct Utf8 {
    octets: [u8; 4],
    len: usize,
    /// How many octets the first one promised.
    need: usize,
}

impl Utf8 {
    fn push(&mut self, octet: u8) -> Result<(), PathViolation> {
        if self.len == 0 {
            self.need = match octet {
                0..=0x7f => return Ok(()),
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return Err(PathViolation::NotUtf8),
            };
        }
        let free = self.octets.get_mut(self.len);
        *free.ok_or(PathViolation::NotUtf8)? = octet;
        self.len += 1;
        if self.len < self.need {
            return Ok(());
        }
        let octets = self.octets.get(..self.len).unwrap_or_default();
        let character = core::str::from_utf8(octets).map_err(|_| PathViolation::NotUtf8)?;
        self.len = 0;
        match character.chars().next() {
            Some('\u{80}'..='\u{9f}') => Err(PathViolation::Control),
            Some(c) if LOOKALIKES.contains(&c) => Err(PathViolation::Lookalike),
            _ => Ok(()),
        }
    }

    fn end(&self) -> Result<(), PathViolation> {
        if self.len == 0 {
            Ok(())
        } else {
            Err(PathViolation::NotUtf8)
        }
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble - 10),
    }
}

const fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

/// What Unicode's compatibility forms (NFKC) and some code pages turn into `.` `..` `/` `\` `%`.
const LOOKALIKES: [char; 9] = [
    '\u{2024}', '\u{2025}', '\u{fe52}', '\u{fe68}', '\u{fe6a}', '\u{ff05}', '\u{ff0e}', '\u{ff0f}',
    '\u{ff3c}',
];
