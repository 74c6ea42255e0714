//! Engine: the wire format of a token, parsed without allocating and without a look at any store.

use std::fmt;

use base64::{DecodeError, DecodeSliceError, Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{SecretToken, TokenId};
use crate::wiped::Wiped;

/// The length in bytes of every token.
pub const TOKEN_LEN: usize = PREFIX_LEN + TEXT_LEN;

/// What a token is good for; the first four characters of its text say it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenKind {
    /// `tpg_`: lets its bearer use one granted capability.
    Grant,
    /// `tpo_`: good for one use, e.g. as OAuth `state`.
    OneTime,
    /// `tpr_`: says who is calling: a user, a service, or which running plugin.
    Runtime,
}

impl TokenKind {
    /// The characters every token of this kind starts with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Grant => "tpg_",
            Self::OneTime => "tpo_",
            Self::Runtime => "tpr_",
        }
    }

    /// Seven bytes at most, so that tag, id and secret fill one SHA-256 block and no more.
    pub(super) const fn domain(self) -> &'static [u8; 6] {
        match self {
            Self::Grant => b"tpg/v1",
            Self::OneTime => b"tpo/v1",
            Self::Runtime => b"tpr/v1",
        }
    }

    /// The CRC-32 of the prefix, from which that of the whole token goes on.
    const fn prefix_checksum(self) -> u32 {
        match self {
            Self::Grant => 0x4080_3182,
            Self::OneTime => 0x8859_BB8A,
            Self::Runtime => 0x7735_D796,
        }
    }

    fn from_prefix(prefix: &[u8; PREFIX_LEN]) -> Option<Self> {
        match prefix {
            b"tpg_" => Some(Self::Grant),
            b"tpo_" => Some(Self::OneTime),
            b"tpr_" => Some(Self::Runtime),
            _ => None,
        }
    }
}

/// A token as a caller sent it: well formed, and nothing more is known about it.
///
/// The secret is wiped when this is dropped and never shown by `Debug`.
pub struct PresentedToken {
    kind: TokenKind,
    id: TokenId,
    secret: Wiped<SECRET_LEN>,
}

impl PresentedToken {
    /// Takes the text of a token apart: `tp<kind>_` and the unpadded base64url form of id (16 bytes),
    /// secret (32) and the big-endian CRC-32 of prefix, id and secret.
    ///
    /// Length and prefix are compared first, so most garbage costs a few nanoseconds.
    ///
    /// # Errors
    ///
    /// [`MalformedToken`] says which of length, prefix, alphabet (which includes bits set in the
    /// padding of the last character) and checksum is wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_plugin_auth::token::{MalformedToken, PresentedToken};
    ///
    /// assert_eq!(PresentedToken::parse(b"hunter2").unwrap_err(), MalformedToken::Length);
    /// ```
    pub fn parse(text: &[u8]) -> Result<Self, MalformedToken> {
        let text: &[u8; TOKEN_LEN] = text.try_into().map_err(|_| MalformedToken::Length)?;
        let Some((prefix, text)) = text.split_first_chunk::<PREFIX_LEN>() else {
            return Err(MalformedToken::Length);
        };
        let kind = TokenKind::from_prefix(prefix).ok_or(MalformedToken::Prefix)?;

        let mut body = Wiped::<BODY_LEN>::zeros();
        match URL_SAFE_NO_PAD.decode_slice(text, &mut *body) {
            Ok(BODY_LEN) => {}
            Ok(_)
            | Err(
                DecodeSliceError::OutputSliceTooSmall
                | DecodeSliceError::DecodeError(
                    DecodeError::InvalidLength(_) | DecodeError::InvalidPadding,
                ),
            ) => return Err(MalformedToken::Length),
            Err(DecodeSliceError::DecodeError(
                DecodeError::InvalidByte(..) | DecodeError::InvalidLastSymbol(..),
            )) => return Err(MalformedToken::Alphabet),
        }
        let Some((covered, id, secret, sent)) = take_apart(&body) else {
            return Err(MalformedToken::Length);
        };
        if *sent != checksum(kind, covered).to_be_bytes() {
            return Err(MalformedToken::Checksum);
        }
        Ok(Self {
            kind,
            id: TokenId::from_bytes(*id),
            secret: Wiped::new(*secret),
        })
    }

    /// What the token claims to be good for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The public id under which a store may know it.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    pub(super) fn secret(&self) -> &[u8; SECRET_LEN] {
        &self.secret
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a text is not a token: it was never issued by anyone, and no store needs to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MalformedToken {
    /// A character outside base64url, or a last character with bits that mean nothing.
    Alphabet,
    /// Mistyped or truncated and filled up: the checksum is of another token.
    Checksum,
    /// Not [`TOKEN_LEN`] bytes.
    Length,
    /// None of the known prefixes.
    Prefix,
}

impl fmt::Display for MalformedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alphabet => "token is not canonical base64url",
            Self::Checksum => "token has a wrong checksum",
            Self::Length => "token has a wrong length",
            Self::Prefix => "token has an unknown prefix",
        })
    }
}

impl std::error::Error for MalformedToken {}

/// Writes the text of a token.
pub(super) fn encode(kind: TokenKind, id: TokenId, secret: &[u8; SECRET_LEN]) -> SecretToken {
    let mut body = Wiped::<BODY_LEN>::zeros();
    for (to, from) in body.iter_mut().zip(id.as_bytes().iter().chain(secret)) {
        *to = *from;
    }
    if let Some((covered, sum)) = body.split_last_chunk_mut() {
        *sum = checksum(kind, covered).to_be_bytes();
    }
    // Of the final size from the start: growing would leave a copy behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_LEN));
    text.push_str(kind.prefix());
    URL_SAFE_NO_PAD.encode_string(body.as_slice(), &mut text);
    SecretToken::new(kind, id, text)
}

/// What the checksum covers, the id, the secret, and the checksum.
#[expect(
    clippy::type_complexity,
    reason = "four parts are read best as four parts"
)]
fn take_apart(
    body: &[u8; BODY_LEN],
) -> Option<(&[u8], &[u8; ID_LEN], &[u8; SECRET_LEN], &[u8; CHECKSUM_LEN])> {
    let (covered, checksum) = body.split_last_chunk()?;
    let (id, secret) = covered.split_first_chunk()?;
    Some((covered, id, secret.try_into().ok()?, checksum))
}

fn checksum(kind: TokenKind, covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(kind.prefix_checksum());
    hasher.update(covered);
    hasher.finalize()
}

pub(super) const ID_LEN: usize = 16;
pub(super) const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
const PREFIX_LEN: usize = 4;
const BODY_LEN: usize = ID_LEN + SECRET_LEN + CHECKSUM_LEN;
const TEXT_LEN: usize = (BODY_LEN * 8).div_ceil(6);

#[cfg(test)]
mod tests;
