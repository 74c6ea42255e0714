//! Engine: the values of `-bin` names.

use core::fmt;

/// Decodes the value of a `-bin` field: base64 of the standard alphabet, padded or not; of several
/// values with commas between them, the first (gRPC over HTTP/2, "Custom-Metadata").
///
/// # Errors
///
/// [`InvalidBinary`] if it is anything else, or decodes to more than `max_bytes`.
pub fn decode<T: AsRef<[u8]> + ?Sized>(
    text: &T,
    max_bytes: usize,
) -> Result<Vec<u8>, InvalidBinary> {
    let value = values(text.as_ref()).next().unwrap_or_default();
    decode_one(value, max_bytes)
}

/// The values in one field.
pub(super) fn values(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

/// How long a value is decoded, if it is one. Nothing is decoded.
pub(super) fn measure(text: &[u8], max_bytes: usize) -> Result<usize, InvalidBinary> {
    let digits = unpadded(text)?;
    let bytes = digits.len() / 4 * 3 + (digits.len() % 4).saturating_sub(1);
    if bytes > max_bytes {
        return Err(InvalidBinary::TooLong);
    }
    // What is left over in the last digit must be zero: one value has one spelling.
    let spare = match digits.len() % 4 {
        2 => 0x0f,
        3 => 0x03,
        _ => 0,
    };
    let last = digits.last().map_or(Some(0), |&b| digit(b));
    let all = digits.iter().fold(true, |all, &b| all & digit(b).is_some());
    match last {
        Some(last) if all && last & spare == 0 => Ok(bytes),
        _ => Err(InvalidBinary::Encoding),
    }
}

pub(super) fn decode_one(text: &[u8], max_bytes: usize) -> Result<Vec<u8>, InvalidBinary> {
    let mut decoded = Vec::with_capacity(measure(text, max_bytes)?);
    for group in unpadded(text)?.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, &b| {
            bits << 6 | u32::from(digit(b).unwrap_or(0))
        });
        let [_, bytes @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        decoded.extend_from_slice(bytes.get(..group.len() - 1).unwrap_or_default());
    }
    Ok(decoded)
}

/// The digits without the padding, which is either complete or absent.
fn unpadded(text: &[u8]) -> Result<&[u8], InvalidBinary> {
    let digits = match text {
        [digits @ .., b'=', b'='] if text.len().is_multiple_of(4) => digits,
        [digits @ .., b'='] if text.len().is_multiple_of(4) => digits,
        digits => digits,
    };
    if digits.len() % 4 == 1 {
        return Err(InvalidBinary::Encoding);
    }
    Ok(digits)
}

#[inline]
fn digit(b: u8) -> Option<u8> {
    let value = DIGITS.get(usize::from(b)).copied().unwrap_or(NONE);
    (value != NONE).then_some(value)
}

/// Why a value is none of a `-bin` name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidBinary {
    /// Not base64.
    Encoding,
    /// Longer than allowed once decoded.
    TooLong,
}

impl fmt::Display for InvalidBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "must be base64",
            Self::TooLong => "is too long once decoded",
        })
    }
}

impl core::error::Error for InvalidBinary {}

const NONE: u8 = 0xff;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < alphabet.len() {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table
};
