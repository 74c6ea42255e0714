//! Engine: the wire format of a grant's token, taken apart without a look at any store and before any HMAC.

use std::fmt;

use base64::{DecodeError, DecodeSliceError, Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{
    Caveat, MAX_CAVEATS, MAX_LEN, Restriction, caveat,
    chain::{SIGNATURE_LEN, Signature},
};
use crate::{token::TokenId, wiped::Wiped};

/// A grant's token as a caller sent it: well formed, and nothing more is known about it.
///
/// The signature is wiped when this is dropped and never shown by `Debug`.
#[derive(Clone)]
pub struct PresentedGrant {
    /// Version, id, caveats, signature, checksum.
    body: Zeroizing<Vec<u8>>,
}

impl PresentedGrant {
    /// Takes the text of a token apart: `tpg_` and the unpadded base64url form of a version (1 byte, 1), the id
    /// of the grant (16), the caveats, the signature (32) and the big-endian CRC-32 of the prefix and all of these.
    ///
    /// A caveat is a tag (1 byte), the length of its value (1) and the value. The limits are those of
    /// [`MAX_CAVEATS`] and [`MAX_LEN`]. A text that is too long is refused by its length alone.
    ///
    /// # Errors
    ///
    /// [`MalformedGrant`] says what is wrong. Each token has one text: whatever else decodes to the same is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_plugin_auth::grant::{MalformedGrant, PresentedGrant};
    ///
    /// assert_eq!(PresentedGrant::parse(b"hunter2").unwrap_err(), MalformedGrant::Prefix);
    /// ```
    pub fn parse(text: &[u8]) -> Result<Self, MalformedGrant> {
        let text = text
            .strip_prefix(PREFIX.as_bytes())
            .ok_or(MalformedGrant::Prefix)?;
        if !(text_len(MIN_LEN)..=text_len(MAX_LEN)).contains(&text.len()) {
            return Err(MalformedGrant::Length);
        }
        // Of the final size from the start: growing would leave a copy behind that nobody wipes.
        let mut body = Zeroizing::new(vec![0; text.len() * 6 / 8]);
        match URL_SAFE_NO_PAD.decode_slice(text, &mut body) {
            Ok(len) if len == body.len() => {}
            Ok(_)
            | Err(
                DecodeSliceError::OutputSliceTooSmall
                | DecodeSliceError::DecodeError(DecodeError::InvalidLength(_)),
            ) => return Err(MalformedGrant::Length),
            Err(DecodeSliceError::DecodeError(
                DecodeError::InvalidByte(..)
                | DecodeError::InvalidLastSymbol(..)
                | DecodeError::InvalidPadding,
            )) => return Err(MalformedGrant::Alphabet),
        }
        let (covered, sum) = body.split_last_chunk().ok_or(MalformedGrant::Length)?;
        if *sum != checksum(covered).to_be_bytes() {
            return Err(MalformedGrant::Checksum);
        }
        Self::of_body(body)
    }

    /// Puts a token together.
    pub(super) fn assemble(id: TokenId, caveats: &[u8], signature: &Signature) -> Self {
        let len = HEAD_LEN + caveats.len() + SIGNATURE_LEN + CHECKSUM_LEN;
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        body.push(VERSION);
        body.extend_from_slice(id.as_bytes());
        body.extend_from_slice(caveats);
        body.extend_from_slice(signature.as_bytes());
        let sum = checksum(&body).to_be_bytes();
        body.extend_from_slice(&sum);
        Self { body }
    }

    fn of_body(body: Zeroizing<Vec<u8>>) -> Result<Self, MalformedGrant> {
        if body.first() != Some(&VERSION) {
            return Err(MalformedGrant::Version);
        }
        let presented = Self { body };
        let mut rest = presented.parts().ok_or(MalformedGrant::Length)?.1;
        let mut count = 0;
        while !rest.is_empty() {
            if count == MAX_CAVEATS {
                return Err(MalformedGrant::TooManyCaveats);
            }
            rest = match caveat::take(rest) {
                Some((_, _, rest)) => rest,
                None if caveat::is_unknown(rest) => return Err(MalformedGrant::UnknownCaveat),
                None => return Err(MalformedGrant::Caveat),
            };
            count += 1;
        }
        Ok(presented)
    }

    /// The public id of the grant.
    #[must_use]
    pub fn id(&self) -> TokenId {
        let id = self.parts().map(|(id, ..)| *id);
        TokenId::from_bytes(id.unwrap_or_default())
    }

    /// What its holders have taken away from it, in that order.
    pub fn restrictions(&self) -> impl Iterator<Item = Restriction<'_>> {
        self.links().map(|(_, restriction)| restriction)
    }

    /// Each caveat as it is signed, and what it says.
    pub(super) fn links(&self) -> impl Iterator<Item = (&[u8], Restriction<'_>)> {
        let mut rest = self.caveats();
        std::iter::from_fn(move || {
            let (whole, restriction, behind) = caveat::take(rest)?;
            rest = behind;
            Some((whole, restriction))
        })
    }

    pub(super) fn caveats(&self) -> &[u8] {
        self.parts().map_or(&[], |(_, caveats, _)| caveats)
    }

    pub(super) fn signature(&self) -> Signature {
        let signature = self.parts().map(|(.., signature)| *signature);
        Signature::new(Wiped::new(signature.unwrap_or_default()))
    }

    /// With one caveat more, if it fits.
    pub(super) fn extended(&self, caveat: &Caveat) -> Option<Self> {
        let caveats = [self.caveats(), caveat.as_bytes()].concat();
        let len = HEAD_LEN + caveats.len() + SIGNATURE_LEN;
        if len > MAX_LEN || self.links().count() == MAX_CAVEATS {
            return None;
        }
        let signature = self.signature().extend(caveat.as_bytes());
        Some(Self::assemble(self.id(), &caveats, &signature))
    }

    /// Its one text.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let len = PREFIX.len() + text_len(self.body.len() - CHECKSUM_LEN);
        let mut text = Zeroizing::new(String::with_capacity(len));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&*self.body, &mut text);
        text
    }

    /// What the checksum covers.
    #[cfg(test)]
    pub(super) fn covered(&self) -> &[u8] {
        self.body.split_last_chunk::<CHECKSUM_LEN>().unwrap().0
    }

    /// With the checksum that goes with it.
    #[cfg(test)]
    pub(super) fn of_covered(covered: &[u8]) -> Result<Self, MalformedGrant> {
        let sum = checksum(covered).to_be_bytes();
        let body = [covered, &sum].concat();
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(body));
        Self::parse(text.as_bytes())
    }

    /// Id, caveats and signature: there since it was made.
    fn parts(&self) -> Option<(&[u8; ID_LEN], &[u8], &[u8; SIGNATURE_LEN])> {
        let (covered, _) = self.body.split_last_chunk::<CHECKSUM_LEN>()?;
        let (_version, rest) = covered.split_first()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (caveats, signature) = rest.split_last_chunk()?;
        Some((id, caveats, signature))
    }
}

impl fmt::Debug for PresentedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedGrant")
            .field("id", &self.id())
            .field("caveats", &self.links().count())
            .finish_non_exhaustive()
    }
}

/// Why a text is not the token of a grant: nobody needs to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MalformedGrant {
    /// A character outside base64url, or a last character with bits that mean nothing.
    Alphabet,
    /// A caveat that is cut short, says what nobody could meet, or is not written in the one way it should be.
    Caveat,
    /// Mistyped or truncated: the checksum is of another token.
    Checksum,
    /// Too short for a token, or longer than [`MAX_LEN`] allows.
    Length,
    /// It does not begin with `tpg_`.
    Prefix,
    /// More than [`MAX_CAVEATS`].
    TooManyCaveats,
    /// A caveat of a kind that is not known here. What it asks for is not known either, so it cannot be met.
    UnknownCaveat,
    /// Another version of the format.
    Version,
}

impl fmt::Display for MalformedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alphabet => "grant is not canonical base64url",
            Self::Caveat => "grant has a malformed caveat",
            Self::Checksum => "grant has a wrong checksum",
            Self::Length => "grant has a wrong length",
            Self::Prefix => "grant has an unknown prefix",
            Self::TooManyCaveats => "grant has too many caveats",
            Self::UnknownCaveat => "grant has a caveat of an unknown kind",
            Self::Version => "grant has an unknown version",
        })
    }
}

impl std::error::Error for MalformedGrant {}

fn checksum(covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(PREFIX.as_bytes());
    hasher.update(covered);
    hasher.finalize()
}

/// How long the text of so many bytes is, checksum included, prefix not.
const fn text_len(len: usize) -> usize {
    ((len + CHECKSUM_LEN) * 8).div_ceil(6)
}

const PREFIX: &str = "tpg_";
const VERSION: u8 = 1;
const ID_LEN: usize = 16;
const HEAD_LEN: usize = 1 + ID_LEN;
const CHECKSUM_LEN: usize = 4;
/// One byte more than a token that is not a grant's has, so that the two are never taken for each other.
const MIN_LEN: usize = HEAD_LEN + SIGNATURE_LEN;
