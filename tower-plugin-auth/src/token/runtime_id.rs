//! Engine: the ids under which running plugins are known.

use std::{fmt, str::FromStr};

use super::TokenId;

/// What a plugin calls itself: the readable part of its runtime id.
///
/// A letter, then letters, digits, `.`, `_`, `-` and spaces, without two dots in a row; at most 128
/// bytes. It is lower-cased and spaces become `-`, so it is safe as one segment of a path. Anyone may
/// claim any name: it identifies nobody.
///
/// ```
/// use tower_plugin_auth::token::SelfId;
///
/// let name: SelfId = "Cache Plugin".parse()?;
/// assert_eq!(name.as_str(), "cache-plugin");
/// assert!("../cache".parse::<SelfId>().is_err());
/// # Ok::<_, tower_plugin_auth::token::InvalidSelfId>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SelfId(Box<str>);

impl SelfId {
    /// The most bytes a name may have.
    pub const MAX_LEN: usize = 128;

    /// Its canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of one run of this plugin: the name, `-`, and the 128 random bits of its first token's
    /// id as 32 hexadecimal digits.
    ///
    /// A store takes an id only if it is absent, so no two runs ever share one.
    #[must_use]
    pub fn runtime_id(&self, first_token: TokenId) -> String {
        format!("{}-{first_token}", self.0)
    }
}

impl FromStr for SelfId {
    type Err = InvalidSelfId;

    fn from_str(text: &str) -> Result<Self, InvalidSelfId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._- ".contains(&byte);
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let ends_well = !text.ends_with(' ');
        if text.len() > Self::MAX_LEN {
            return Err(InvalidSelfId::TooLong);
        }
        if !starts_well || !ends_well || !text.bytes().all(allowed) || text.contains("..") {
            return Err(InvalidSelfId::Characters);
        }
        Ok(Self(text.to_ascii_lowercase().replace(' ', "-").into()))
    }
}

impl fmt::Display for SelfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name no plugin may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidSelfId {
    /// Empty, not starting with a letter, ending with a space, with two dots in a row, or with a
    /// character that is not allowed.
    Characters,
    /// More than [`SelfId::MAX_LEN`] bytes.
    TooLong,
}

impl fmt::Display for InvalidSelfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Characters => f.write_str(
                "self id must be a letter, then letters, digits, '.', '_', '-' and spaces, \
                 without two dots in a row or a space at the end",
            ),
            Self::TooLong => write!(f, "self id must have at most {} bytes", SelfId::MAX_LEN),
        }
    }
}

impl std::error::Error for InvalidSelfId {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{random::SystemRng, token::Rng};

    #[test]
    fn a_name_is_safe_as_one_segment_of_a_path() {
        struct Case {
            name: &'static str,
            canonical: Option<&'static str>,
        }
        const fn case(name: &'static str, canonical: Option<&'static str>) -> Case {
            Case { name, canonical }
        }
        for Case { name, canonical } in [
            case("cache", Some("cache")),
            case("Cache Plugin", Some("cache-plugin")),
            case("a.b_c-9", Some("a.b_c-9")),
            case("A  b", Some("a--b")),
            case("a.", Some("a.")),
            case("", None),
            case(" a", None),
            case("a ", None),
            case("9a", None),
            case(".a", None),
            case("a..b", None),
            case("../../m\n-33f3", None),
            case("a/b", None),
            case("a\\b", None),
            case("a%2f", None),
            case("a?b", None),
            case("a\0", None),
            case("plügin", None),
        ] {
            let parsed = name.parse::<SelfId>();
            assert_eq!(
                parsed.as_ref().map(SelfId::as_str).ok(),
                canonical,
                "{name:?}"
            );
        }
        assert!("a".repeat(128).parse::<SelfId>().is_ok());
        assert_eq!(
            "a".repeat(129).parse::<SelfId>(),
            Err(InvalidSelfId::TooLong)
        );
    }

    #[test]
    fn a_runtime_id_ends_in_all_128_bits_of_the_token_id() {
        let name: SelfId = "Cache".parse().unwrap();
        assert_eq!(
            name.runtime_id(TokenId::from_bytes([0x0F; 16])),
            "cache-0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
        );
    }

    #[test]
    fn a_million_runs_of_one_name_have_as_many_ids() {
        let name: SelfId = "cache".parse().unwrap();
        let mut bytes = [0; 16];
        let ids: HashSet<String> = (0..1_000_000)
            .map(|_| {
                SystemRng.fill(&mut bytes).unwrap();
                name.runtime_id(TokenId::from_bytes(bytes))
            })
            .collect();
        assert_eq!(ids.len(), 1_000_000);
        let mut some = ids.iter().take(1000);
        assert!(some.all(|id| id.parse::<SelfId>().is_ok()));
    }
}
