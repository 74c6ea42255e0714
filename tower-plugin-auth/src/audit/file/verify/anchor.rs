//! Engine: a line of a log, noted elsewhere.

use std::{fmt, str::FromStr};

use super::super::chain::{Tag, hex, number, unhex};

/// A line of an audit log by its number and its MAC, to be noted where whoever writes the log cannot.
///
/// It stands for all that was written up to that line: under the same key nobody, not even who has that key,
/// makes another log that has the same MAC there. It is no secret. As text it is `NUMBER:MAC`, the MAC in 64
/// lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Anchor {
    sequence: u64,
    mac: Tag,
}

impl Anchor {
    /// Of the line of this number.
    #[must_use]
    pub const fn new(sequence: u64, mac: [u8; 32]) -> Self {
        Self { sequence, mac }
    }

    /// The number of the line.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The MAC of the line.
    #[must_use]
    pub const fn mac(&self) -> &[u8; 32] {
        &self.mac
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Vec::with_capacity(64);
        hex(&mut digits, &self.mac);
        write!(f, "{}:{}", self.sequence, digits.escape_ascii())
    }
}

impl FromStr for Anchor {
    type Err = InvalidAnchor;

    fn from_str(text: &str) -> Result<Self, InvalidAnchor> {
        let (sequence, rest) = number(text.as_bytes()).ok_or(InvalidAnchor)?;
        let mac = rest.strip_prefix(b":").and_then(unhex);
        match mac.ok_or(InvalidAnchor)? {
            (mac, []) => Ok(Self { sequence, mac }),
            _ => Err(InvalidAnchor),
        }
    }
}

/// Not the text of an [`Anchor`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidAnchor;

impl fmt::Display for InvalidAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anchor must be a number, a colon and 64 lowercase hexadecimal digits")
    }
}

impl std::error::Error for InvalidAnchor {}
