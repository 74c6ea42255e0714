//! Engine: the lines of an audit log, and the chain that holds them together.
//!
//! A line is one JSON object: `{"seq":N,"key":V,` what happened `,"mac":"…"}`. Its MAC is HMAC-SHA256 under
//! the key of version V, over the MAC of the line before, the number N, and the line up to its MAC. Without
//! the key nobody can change a line, take one out or put one in so that it fits. Nothing here reads JSON: a
//! line has one form, and what has another is no line.

use subtle::ConstantTimeEq;

use crate::token::{KeyRing, Pepper};

pub(super) type Tag = [u8; 32];

/// Where a log has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Link {
    /// The number of the next line.
    pub(super) next: u64,
    /// The MAC of the last one.
    pub(super) tag: Tag,
}

impl Link {
    /// Before the first line.
    pub(super) const START: Self = Self {
        next: 0,
        tag: [0; 32],
    };

    /// Writes a line, and moves on.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, key: &Pepper, payload: &[u8]) {
        let start = out.len();
        out.extend_from_slice(SEQUENCE);
        decimal(out, self.next);
        out.extend_from_slice(KEY);
        decimal(out, key.version().into());
        out.push(b',');
        out.extend_from_slice(payload);
        let body = out.get(start..).unwrap_or_default();
        self.tag = line_tag(key, &self.tag, self.next, body);
        self.next = self.next.wrapping_add(1);
        out.extend_from_slice(TAG);
        hex(out, &self.tag);
        out.extend_from_slice(END);
        out.push(b'\n');
    }
}

/// A line as it is read, without its end; whether it is genuine is another question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) sequence: u64,
    pub(super) key_version: u32,
    /// All between the key and the MAC.
    pub(super) payload: &'a [u8],
    pub(super) tag: Tag,
    body: &'a [u8],
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (body, tag) = split_tag(line)?;
        let rest = body.strip_prefix(SEQUENCE)?;
        let (sequence, rest) = number(rest)?;
        let (key_version, rest) = number(rest.strip_prefix(KEY)?)?;
        Some(Self {
            sequence,
            key_version: u32::try_from(key_version).ok()?,
            payload: rest.strip_prefix(b",")?,
            tag,
            body,
        })
    }

    /// Whether it was written after the line with this MAC; `None` without its key.
    pub(super) fn follows(&self, previous: &Tag, keys: &KeyRing) -> Option<bool> {
        let key = keys.find(self.key_version)?;
        let tag = line_tag(key, previous, self.sequence, self.body);
        Some(tag.ct_eq(&self.tag).into())
    }
}

/// The first line of a file: which one of which log, and the MAC of the last line of the file before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) log: [u8; 16],
    pub(super) previous: Tag,
}

impl Segment {
    pub(super) fn payload(&self, time: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        out.extend_from_slice(SEGMENT);
        decimal(&mut out, self.number);
        out.extend_from_slice(LOG);
        hex(&mut out, &self.log);
        out.extend_from_slice(PREVIOUS);
        hex(&mut out, &self.previous);
        out.extend_from_slice(TIME);
        out.extend_from_slice(time.as_bytes());
        out.push(b'"');
        out
    }

    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let (number, rest) = number(payload.strip_prefix(SEGMENT)?)?;
        let (log, rest) = unhex(rest.strip_prefix(LOG)?)?;
        let (previous, rest) = unhex(rest.strip_prefix(PREVIOUS)?)?;
        rest.strip_prefix(TIME)?;
        Some(Self {
            number,
            log,
            previous,
        })
    }
}

/// How far the log had come when it was written last, kept apart from the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) log: [u8; 16],
    pub(super) segment: u64,
    /// The last line: its number and its MAC.
    pub(super) sequence: u64,
    pub(super) tag: Tag,
    /// Of the key it was written under.
    pub(super) key_version: u32,
}

impl Head {
    /// Under this key, which has to be the one it names.
    pub(super) fn write(&self, key: &Pepper) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(SEQUENCE);
        decimal(&mut out, self.sequence);
        out.extend_from_slice(KEY);
        decimal(&mut out, self.key_version.into());
        out.push(b',');
        out.extend_from_slice(SEGMENT);
        decimal(&mut out, self.segment);
        out.extend_from_slice(LOG);
        hex(&mut out, &self.log);
        out.extend_from_slice(LAST);
        hex(&mut out, &self.tag);
        out.push(b'"');
        let tag = head_tag(key, &out);
        out.extend_from_slice(TAG);
        hex(&mut out, &tag);
        out.extend_from_slice(END);
        out.push(b'\n');
        out
    }

    /// `None` if it is not of this form, or not genuine.
    pub(super) fn open(text: &[u8], keys: &KeyRing) -> Option<Self> {
        let (body, tag) = split_tag(text.strip_suffix(b"\n")?)?;
        let (sequence, rest) = number(body.strip_prefix(SEQUENCE)?)?;
        let (key_version, rest) = number(rest.strip_prefix(KEY)?)?;
        let (segment, rest) = number(rest.strip_prefix(b",")?.strip_prefix(SEGMENT)?)?;
        let (log, rest) = unhex(rest.strip_prefix(LOG)?)?;
        let (last, rest) = unhex(rest.strip_prefix(LAST)?)?;
        let key_version = u32::try_from(key_version).ok()?;
        let key = keys.find(key_version)?;
        let genuine: bool = head_tag(key, body).ct_eq(&tag).into();
        (genuine && rest == b"\"").then_some(Self {
            log,
            segment,
            sequence,
            tag: last,
            key_version,
        })
    }
}

/// Under which keys the lines were written, in their order. One that was replaced does not come back: who has
/// got hold of it could otherwise write in the place of its successor.
#[derive(Debug, Default)]
pub(super) struct Succession {
    current: Option<u32>,
    /// No more than there are keys on the ring.
    replaced: Vec<u32>,
}

impl Succession {
    /// Whether nothing may be written under this key any more.
    pub(super) fn is_over(&self, key_version: u32, keys: &KeyRing) -> bool {
        self.current.is_some_and(|current| {
            current != key_version
                && (current == keys.active() || self.replaced.contains(&key_version))
        })
    }

    /// A line was written under this key, which is on the ring and not over.
    pub(super) fn go_on(&mut self, key_version: u32) {
        if self.current != Some(key_version) {
            self.replaced.extend(self.current.replace(key_version));
        }
    }
}

fn line_tag(key: &Pepper, previous: &Tag, sequence: u64, body: &[u8]) -> Tag {
    let sequence = sequence.to_be_bytes();
    key.mac([b"tower-plugin audit line 1\0", previous, &sequence, body])
}

fn head_tag(key: &Pepper, body: &[u8]) -> Tag {
    key.mac([b"tower-plugin audit head 1\0", body])
}

fn split_tag(line: &[u8]) -> Option<(&[u8], Tag)> {
    let line = line.strip_suffix(END)?;
    let (rest, tag) = line.split_at_checked(line.len().checked_sub(64)?)?;
    let (tag, _) = unhex(tag)?;
    Some((rest.strip_suffix(TAG)?, tag))
}

/// As it is written and in no other way: no sign, no leading zero.
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    if digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.split_at(20 - count).1);
}

pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    };
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]),
    );
}

pub(super) fn unhex<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (digits, rest) = text.split_at_checked(2 * N)?;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        if let [high, low] = pair {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
    }
    Some((bytes, rest))
}

const SEQUENCE: &[u8] = b"{\"seq\":";
const KEY: &[u8] = b",\"key\":";
const SEGMENT: &[u8] = b"\"segment\":";
const LOG: &[u8] = b",\"log\":\"";
const PREVIOUS: &[u8] = b"\",\"previous\":\"";
const LAST: &[u8] = b"\",\"last\":\"";
const TIME: &[u8] = b"\",\"time\":\"";
const TAG: &[u8] = b",\"mac\":\"";
const END: &[u8] = b"\"}";

#[cfg(test)]
mod tests;
