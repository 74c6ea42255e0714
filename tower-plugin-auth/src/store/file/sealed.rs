//! Engine: the bytes of an encrypted file of records.
//!
//! A head in clear (magic, format, version of the key, id of the store, sequence number, nonce), then the
//! records under AES-256-GCM. The head and the label of the store are authenticated with them, so neither
//! can be changed, and one store's file is of no use to another.

use std::fmt;

use aes_gcm::{
    Nonce, Tag,
    aead::{AeadInOut, inout::InOutBuf},
};
use zeroize::Zeroizing;

use crate::{
    file::FileKeyRing,
    token::{Record, Rng, RngError},
};

/// What a file says of itself, known to be true once it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    kind: FileKind,
    key_version: u32,
    store_id: [u8; 16],
    sequence: u64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FileKind {
    /// Nothing but how far the store has come.
    Anchor,
    /// Records.
    Records,
}

impl Head {
    /// Of a file of this store, written as the `sequence`-th.
    #[must_use]
    pub fn new(kind: FileKind, store_id: [u8; 16], sequence: u64) -> Self {
        Self {
            kind,
            key_version: 0,
            store_id,
            sequence,
        }
    }

    /// Reads the head of a file, without knowing whether it is true.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<HEAD_LEN>()?;
        let (magic, rest) = head.split_first_chunk::<4>()?;
        let kind = match magic {
            b"TPTA" => FileKind::Anchor,
            b"TPTR" => FileKind::Records,
            _ => return None,
        };
        let (format, rest) = rest.split_first()?;
        let (key_version, rest) = rest.split_first_chunk()?;
        let (store_id, rest) = rest.split_first_chunk()?;
        let (sequence, _nonce) = rest.split_first_chunk()?;
        (*format == FORMAT).then_some(Self {
            kind,
            key_version: u32::from_be_bytes(*key_version),
            store_id: *store_id,
            sequence: u64::from_be_bytes(*sequence),
        })
    }

    /// What the file holds.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// The version of the key it was written under.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    /// The random id of the store.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// How many files of the store were written before, the first one being 1.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn write(&self, nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_LEN);
        out.extend_from_slice(match self.kind {
            FileKind::Anchor => b"TPTA",
            FileKind::Records => b"TPTR",
        });
        out.push(FORMAT);
        out.extend_from_slice(&self.key_version.to_be_bytes());
        out.extend_from_slice(&self.store_id);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(nonce);
        out
    }
}

/// Writes a file: the bytes of records under the active key.
///
/// # Errors
///
/// [`RngError`] if there is no randomness to be had, or nothing can be encrypted with it.
pub fn seal<'a>(
    keys: &FileKeyRing,
    label: &str,
    mut head: Head,
    records: impl IntoIterator<Item = &'a Record>,
    rng: &impl Rng,
) -> Result<Vec<u8>, RngError> {
    let mut nonce = [0; NONCE_LEN];
    rng.fill(&mut nonce)?;
    head.key_version = keys.active();
    let mut file = head.write(&nonce);
    let bound = bind(&file, label);
    let mut body = Zeroizing::new(Vec::new());
    for record in records {
        let bytes = record.to_bytes();
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&len.to_be_bytes());
        body.extend_from_slice(&bytes);
    }
    let nonce = Nonce::from(nonce);
    let buffer = InOutBuf::from(body.as_mut_slice());
    let tag = keys
        .cipher()
        .encrypt_inout_detached(&nonce, &bound, buffer)
        .map_err(|_| RngError::new("more than 64 GiB"))?;
    file.extend_from_slice(&body);
    file.extend_from_slice(&tag);
    Ok(file)
}

/// Reads a file that [`seal`] has written for the same label under one of the keys.
///
/// # Errors
///
/// [`InvalidFile`] if it is none, or was changed or cut off anywhere.
pub fn open(
    keys: &FileKeyRing,
    label: &str,
    file: &[u8],
) -> Result<(Head, Vec<Record>), InvalidFile> {
    let head = Head::peek(file).ok_or(InvalidFile::NotEncrypted)?;
    let cipher = keys
        .find(head.key_version)
        .ok_or(InvalidFile::UnknownKey(head.key_version))?;
    let (clear, sealed) = file
        .split_at_checked(HEAD_LEN)
        .ok_or(InvalidFile::Altered)?;
    let (_, nonce) = clear
        .split_last_chunk::<NONCE_LEN>()
        .ok_or(InvalidFile::Altered)?;
    let (body, tag) = sealed
        .split_last_chunk::<TAG_LEN>()
        .ok_or(InvalidFile::Altered)?;
    let mut body = Zeroizing::new(body.to_vec());
    let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
    let buffer = InOutBuf::from(body.as_mut_slice());
    cipher
        .decrypt_inout_detached(&nonce, &bind(clear, label), buffer, &tag)
        .map_err(|_| InvalidFile::Altered)?;
    Ok((head, records(&body)?))
}

/// What is written is what is read: bytes that are genuine and yet no records come from a newer
/// release.
fn records(mut body: &[u8]) -> Result<Vec<Record>, InvalidFile> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (len, rest) = body.split_first_chunk().ok_or(InvalidFile::UnknownFormat)?;
        let len = usize::try_from(u32::from_be_bytes(*len));
        let len = len.map_err(|_| InvalidFile::UnknownFormat)?;
        let (bytes, rest) = rest
            .split_at_checked(len)
            .ok_or(InvalidFile::UnknownFormat)?;
        let record = Record::from_bytes(bytes).map_err(|_| InvalidFile::UnknownFormat)?;
        records.push(record);
        body = rest;
    }
    Ok(records)
}

/// What is authenticated beside the records.
fn bind(clear: &[u8], label: &str) -> Vec<u8> {
    [clear, label.as_bytes()].concat()
}

/// Why bytes are not an encrypted file of records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidFile {
    /// Changed or cut off since it was written, or written for another label, or under another key of
    /// the same version.
    Altered,
    /// Not a file of this kind, e.g. one in clear.
    NotEncrypted,
    /// Written by a later release.
    UnknownFormat,
    /// Written under a key of this version, which is not on the ring.
    UnknownKey(u32),
}

impl fmt::Display for InvalidFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("token file was altered, or is another store's"),
            Self::NotEncrypted => f.write_str("token file is not encrypted"),
            Self::UnknownFormat => f.write_str("token file is of an unknown format"),
            Self::UnknownKey(version) => {
                write!(
                    f,
                    "token file needs key version {version}, which is not on the ring"
                )
            }
        }
    }
}

impl std::error::Error for InvalidFile {}

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 4 + 1 + 4 + 16 + 8 + NONCE_LEN;
const FORMAT: u8 = 1;

#[cfg(test)]
mod tests;
