//! Engine: what a line says, encrypted.
//!
//! In the place of its members a line has `"cipher":V,"sealed":"…"`: base64url of a nonce, the members under
//! AES-256-GCM, and the tag. The number of the line is authenticated with it. That the line belongs to this
//! log is what the chain is for.

use std::{borrow::Cow, fmt};

use aes_gcm::{
    Nonce, Tag,
    aead::{AeadInOut, inout::InOutBuf},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::chain::Line;
use crate::{
    file::FileKeyRing,
    token::{Rng, RngError},
};

pub(super) const NONCE_LEN: usize = 12;

/// The members of the line with this number, under the active key.
pub(super) fn seal(
    keys: &FileKeyRing,
    nonce: [u8; NONCE_LEN],
    sequence: u64,
    members: &[u8],
) -> Result<Vec<u8>, RngError> {
    let mut sealed = Vec::with_capacity(NONCE_LEN + members.len() + TAG_LEN);
    sealed.extend_from_slice(&nonce);
    let mut body = members.to_vec();
    let buffer = InOutBuf::from(body.as_mut_slice());
    let tag = keys
        .cipher()
        .encrypt_inout_detached(&Nonce::from(nonce), &bound(sequence), buffer)
        .map_err(|_| RngError::new("more than 64 GiB"))?;
    sealed.extend_from_slice(&body);
    sealed.extend_from_slice(&tag);
    let text = URL_SAFE_NO_PAD.encode(&sealed);
    let mut out = format!("\"cipher\":{},\"sealed\":\"", keys.active()).into_bytes();
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(out)
}

/// Nonces for so many lines.
pub(super) fn nonces(rng: &dyn Rng, count: usize) -> Result<Vec<[u8; NONCE_LEN]>, RngError> {
    let mut nonces = vec![[0; NONCE_LEN]; count];
    rng.fill(nonces.as_flattened_mut())?;
    Ok(nonces)
}

/// A line of an audit log in clear, without the line feed. One that was never encrypted, and the first
/// line of a file never is, stays as it is.
///
/// Whether the line belongs where it stands is for a [`Verifier`](super::Verifier) to say.
///
/// # Errors
///
/// [`InvalidLine`] if it is no line of an audit log, was encrypted under a key that is not on the ring, or
/// was altered.
pub fn clear<'a>(line: &'a [u8], keys: &FileKeyRing) -> Result<Cow<'a, [u8]>, InvalidLine> {
    let parsed = Line::parse(line).ok_or(InvalidLine::Malformed)?;
    let Some(rest) = parsed.payload.strip_prefix(b"\"cipher\":") else {
        return Ok(line.into());
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (version, rest) = rest
        .split_at_checked(digits)
        .ok_or(InvalidLine::Malformed)?;
    let version = std::str::from_utf8(version).ok();
    let version = version.and_then(|version| version.parse().ok());
    let version = version.ok_or(InvalidLine::Malformed)?;
    let text = rest
        .strip_prefix(b",\"sealed\":\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .ok_or(InvalidLine::Malformed)?;
    let cipher = keys.find(version).ok_or(InvalidLine::UnknownKey(version))?;

    let sealed = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| InvalidLine::Malformed)?;
    let (nonce, rest) = sealed
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(InvalidLine::Malformed)?;
    let (body, tag) = rest
        .split_last_chunk::<TAG_LEN>()
        .ok_or(InvalidLine::Malformed)?;
    let mut body = body.to_vec();
    let buffer = InOutBuf::from(body.as_mut_slice());
    let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
    cipher
        .decrypt_inout_detached(&nonce, &bound(parsed.sequence), buffer, &tag)
        .map_err(|_| InvalidLine::Altered)?;

    let around = line.len().checked_sub(parsed.payload.len() + END_LEN);
    let (before, rest) = around
        .and_then(|start| line.split_at_checked(start))
        .ok_or(InvalidLine::Malformed)?;
    let after = rest.get(parsed.payload.len()..).unwrap_or_default();
    Ok([before, &body, after].concat().into())
}

/// What is authenticated beside the members.
fn bound(sequence: u64) -> Vec<u8> {
    [
        &b"tower-plugin audit sealed 1\0"[..],
        &sequence.to_be_bytes(),
    ]
    .concat()
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidLine {
    /// Changed since it was encrypted, or moved to another place, or of another key of the same version.
    Altered,
    /// No line of an audit log.
    Malformed,
    /// Encrypted under a key of this version, which is not on the ring.
    UnknownKey(u32),
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("line was altered"),
            Self::Malformed => f.write_str("not a line of an audit log"),
            Self::UnknownKey(version) => {
                write!(
                    f,
                    "line needs file key version {version}, which is not on the ring"
                )
            }
        }
    }
}

impl std::error::Error for InvalidLine {}

const TAG_LEN: usize = 16;
/// `,"mac":"`, 64 digits and `"}`.
const END_LEN: usize = 8 + 64 + 2;
