//! Engine: the public half of a token.

use std::{fmt, str::FromStr};

use super::format::ID_LEN;

/// The public id of a token: safe to log, to show and to revoke by.
///
/// Written as 32 lower-case hexadecimal digits.
///
/// ```
/// use tower_plugin_auth::token::TokenId;
///
/// let id: TokenId = "000102030405060708090a0b0c0d0e0f".parse()?;
/// assert_eq!(id.as_bytes()[15], 15);
/// assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0e0f");
/// # Ok::<_, tower_plugin_auth::token::InvalidTokenId>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TokenId([u8; ID_LEN]);

impl TokenId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl FromStr for TokenId {
    type Err = InvalidTokenId;

    fn from_str(text: &str) -> Result<Self, InvalidTokenId> {
        let lower_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != ID_LEN * 2 || !text.bytes().all(lower_hex) {
            return Err(InvalidTokenId(()));
        }
        let bits = u128::from_str_radix(text, 16).map_err(|_| InvalidTokenId(()))?;
        Ok(Self(bits.to_be_bytes()))
    }
}

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidTokenId(());

impl fmt::Display for InvalidTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token id must be 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for InvalidTokenId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_written_form() {
        let id = TokenId::from_bytes([0xAB; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            format!("{id:?}"),
            "TokenId(abababababababababababababababab)"
        );
        for wrong in [
            "",
            "ab",
            "ABABABABABABABABABABABABABABABAB",
            "+bababababababababababababababab",
            "ababababababababababababababababab",
            "abababababababababababababababag",
        ] {
            assert!(wrong.parse::<TokenId>().is_err(), "{wrong}");
        }
    }
}
