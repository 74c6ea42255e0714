//! Engine: one spelling per path.
//!
//! A router, a proxy behind it and a permission check each decode a path in their own way, and an
//! attacker lives in the difference. So a path passes only if every reader must understand it
//! alike, and it passes in one spelling, the **canonical** one:
//!
//! * it starts with `/` and holds only the characters RFC 3986 (section 3.3) allows in a path;
//! * an unreserved character (`A-Z a-z 0-9 - . _ ~`) is written as itself;
//! * everything else that is percent-encoded is written with upper-case digits. A reserved
//!   character and its encoded form (`@`, `%40`) stay two different paths, as in the RFC.
//!
//! Refused in every configuration: `\`, encoded `/`, `\` and `.`, controls raw or encoded (C0, DEL,
//! C1), a `%` without two hexadecimal digits, encoded octets that are not UTF-8 (which covers
//! overlong forms), full-width and small forms of `.` `/` `\` `%`, segments that are nothing but
//! dots once parameters (`;x`) and encoded spaces are taken off, and a leading `//`.
//!
//! Refused unless [`PathRules`] says otherwise: an escape that decodes to another escape
//! (`%252e`), and a harmless path in another spelling (`/%61` for `/a`). What happens to the other
//! spelling is up to the caller, who is told of it: see [`NonCanonical`].

mod rules;
mod walk;

pub use rules::{EmptySegments, NonCanonical, PathRules};

use core::fmt;
use std::borrow::Cow;

use crate::octets::{all, any_pair, is_letter};
use rules::Shape;

/// Decides whether a path can be trusted to mean one thing, and gives its canonical spelling.
///
/// The path is what precedes the first `?`; a `?` or `#` in it is refused. One pass over a table
/// decides about most paths, and borrows them. It allocates only for a path that
/// changes, and never under [`NonCanonical::Reject`]. The canonical spelling of a canonical path is itself.
///
/// # Errors
///
/// [`PathViolation`], the first found. It never holds any of the path.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::path::{NonCanonical, PathRules, PathViolation, canonical};
///
/// let rules = PathRules::http();
/// assert_eq!(canonical("/a/b.txt", &rules)?.as_str(), "/a/b.txt");
/// assert_eq!(canonical("/a/..%2fb", &rules), Err(PathViolation::Separator));
/// assert_eq!(canonical("/a/%62", &rules), Err(PathViolation::NotCanonical));
///
/// let rules = rules.with_non_canonical(NonCanonical::Rewrite);
/// assert_eq!(canonical("/a/%62", &rules)?.as_str(), "/a/b");
/// # Ok::<_, PathViolation>(())
/// ```
#[inline]
pub fn canonical<'a, P>(path: &'a P, rules: &PathRules) -> Result<Canonical<'a>, PathViolation>
where
    P: AsRef<[u8]> + ?Sized,
{
    let path = path.as_ref();
    if is_plain(path) {
        return plain(text(path)?, rules);
    }
    closer(path, rules)
}

/// [`canonical`] for what is text already, as the path of an `http::Uri` is: it need not be looked at for
/// that.
///
/// # Errors
///
/// The same.
#[inline]
pub fn canonical_str<'a>(path: &'a str, rules: &PathRules) -> Result<Canonical<'a>, PathViolation> {
    if is_plain(path.as_bytes()) {
        return plain(path, rules);
    }
    closer(path.as_bytes(), rules)
}

fn closer<'a>(path: &'a [u8], rules: &PathRules) -> Result<Canonical<'a>, PathViolation> {
    shaped(walk::canonical(path, rules)?, rules)
}

#[inline]
fn plain<'a>(path: &'a str, rules: &PathRules) -> Result<Canonical<'a>, PathViolation> {
    shaped(Cow::Borrowed(path), rules)
}

#[inline]
fn shaped<'a>(text: Cow<'a, str>, rules: &PathRules) -> Result<Canonical<'a>, PathViolation> {
    if rules.shape == Shape::Grpc && !is_grpc(&text) {
        return Err(PathViolation::NotGrpc);
    }
    Ok(Canonical { text })
}

/// A path in its canonical spelling.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Canonical<'a> {
    text: Cow<'a, str>,
}

impl<'a> Canonical<'a> {
    /// The canonical spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The canonical spelling: borrowed if it is the one that was received.
    #[must_use]
    pub fn into_inner(self) -> Cow<'a, str> {
        self.text
    }

    /// Whether the path was received in this spelling.
    #[must_use]
    pub const fn is_unchanged(&self) -> bool {
        matches!(self.text, Cow::Borrowed(_))
    }
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PathViolation {
    /// A control character, raw or encoded.
    Control,
    /// A segment of dots, with or without parameters.
    DotSegment,
    /// An escape that decodes to another escape.
    DoubleEncoding,
    /// Two slashes with nothing but parameters between them, or at the start.
    EmptySegment,
    /// An encoded dot.
    EncodedDot,
    /// A character that must be percent-encoded in a path, `?` and `#` among them.
    IllegalCharacter,
    /// A full-width or small form of a dot, slash, backslash or percent sign.
    Lookalike,
    /// A percent sign without two hexadecimal digits after it.
    MalformedEncoding,
    /// Harmless, but not in the canonical spelling.
    NotCanonical,
    /// Not `/Service/Method`.
    NotGrpc,
    /// No slash at the start.
    NotRooted,
    /// Encoded octets that are not UTF-8.
    NotUtf8,
    /// A backslash, or an encoded slash or backslash.
    Separator,
}

impl PathViolation {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Control => "PATH_CONTROL",
            Self::DotSegment => "PATH_DOT_SEGMENT",
            Self::DoubleEncoding => "PATH_DOUBLE_ENCODING",
            Self::EmptySegment => "PATH_EMPTY_SEGMENT",
            Self::EncodedDot => "PATH_ENCODED_DOT",
            Self::IllegalCharacter => "PATH_CHARS",
            Self::Lookalike => "PATH_LOOKALIKE",
            Self::MalformedEncoding => "PATH_ENCODING",
            Self::NotCanonical => "PATH_NOT_CANONICAL",
            Self::NotGrpc => "PATH_NOT_GRPC",
            Self::NotRooted => "PATH_NOT_ROOTED",
            Self::NotUtf8 => "PATH_UTF8",
            Self::Separator => "PATH_SEPARATOR",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Control => "the path holds a control character",
            Self::DotSegment => "the path holds a segment of dots",
            Self::DoubleEncoding => "the path is encoded twice",
            Self::EmptySegment => "the path holds an empty segment",
            Self::EncodedDot => "the path holds an encoded dot",
            Self::IllegalCharacter => "the path holds a character that must be percent-encoded",
            Self::Lookalike => "the path holds a look-alike of a dot, slash or percent sign",
            Self::MalformedEncoding => "the path holds a malformed percent-encoding",
            Self::NotCanonical => "the path is not in its canonical spelling",
            Self::NotGrpc => "the path is not of the form /Service/Method",
            Self::NotRooted => "the path does not start with a slash",
            Self::NotUtf8 => "the path does not decode to UTF-8",
            Self::Separator => "the path holds a backslash or an encoded separator",
        }
    }
}

impl fmt::Display for PathViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl core::error::Error for PathViolation {}

/// Whether nothing in the path needs a closer look: only unescaped path characters, and no slash
/// or dot followed by something that could make a dot segment or an empty one.
fn is_plain(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    // Most paths: letters, digits, `-` to `9`, and no dot or slash beside another one.
    let usual = |b: u8| is_letter(b) | (b.wrapping_sub(b'-') <= b'9' - b'-') | (b == b'_');
    let divides = |b: u8| b & 0xfe == b'.';
    if all(path, usual) && !any_pair(path, |a, b| divides(a) & divides(b)) {
        return true;
    }
    let suspect = any_pair(path, |a, b| {
        ((a == b'/') & ((b == b'/') | (b == b'.') | (b == b';'))) | ((a == b'.') & (b == b'.'))
    });
    all(path, is_pchar) & !suspect
}

/// `pchar` of RFC 3986 without the escapes, and the slash: `!`, `$`, `&` to `;`, `=`, `@` to `Z`,
/// `_`, `a` to `z` and `~`. By arithmetic: vectors have no tables.
#[inline]
const fn is_pchar(b: u8) -> bool {
    (b.wrapping_sub(b'&') <= b';' - b'&')
        | (b.wrapping_sub(b'@') <= b'Z' - b'@')
        | (b.wrapping_sub(b'a') <= b'z' - b'a')
        | (b == b'!')
        | (b == b'$')
        | (b == b'=')
        | (b == b'_')
        | (b == b'~')
}

/// `/Service/Method`: a protobuf full name and a method name.
fn is_grpc(path: &str) -> bool {
    let Some((service, method)) = path.strip_prefix('/').and_then(|p| p.split_once('/')) else {
        return false;
    };
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    service.split('.').all(word) && word(method)
}

/// The path as text. Only called on ASCII, so that the error is never seen.
fn text(path: &[u8]) -> Result<&str, PathViolation> {
    core::str::from_utf8(path).map_err(|_| PathViolation::NotUtf8)
}

#[cfg(test)]
mod tests;
