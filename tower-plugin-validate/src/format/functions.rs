//! Engine: the formats, one function each.

use super::{Format, InvalidFormat};

/// Accepts a UUID in its usual spelling: 8-4-4-4-12 hexadecimal digits of either case (RFC 9562,
/// section 4). Braces, `urn:uuid:` and the form without hyphens are refused.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
#[inline]
pub fn uuid<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::Uuid.check(text)
}

/// Accepts exactly the versions of Semantic Versioning 2.0.0 whose numbers fit into 64 bits: what
/// the `semver` crate parses, in at most 256 bytes.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else, such as `01.2.3`, `1.0.0-..` or `v1.0.0`.
pub fn semver<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::Semver.check(text)
}

/// Accepts what connect-plugin hosts take for a version: three numbers, then perhaps a hyphen and
/// any letters, digits, dots and hyphens, in at most 64 bytes. Leading zeros pass, `+build` does not.
///
/// Only for peers that cannot be changed; prefer [`semver`].
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn semver_lenient<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::SemverLenient.check(text)
}

/// Accepts a fully qualified host name: at least two labels of letters, digits and inner hyphens,
/// each of 1 to 63 bytes, together at most 253 (RFC 1123, section 2.1). The last one starts with a
/// letter, so that nothing can take the name for an address. Names beyond ASCII in their `xn--`
/// form; no dot at the end.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn fqdn<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::Fqdn.check(text)
}

/// Accepts an email address as people have them: a dot-atom of at most 64 bytes (RFC 5321, section
/// 4.1.2), `@`, and an [`fqdn`]. Quoted local parts, comments, address literals, hosts without a
/// dot and anything beyond ASCII are refused: what a header or a mailer could read otherwise.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn email<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::Email.check(text)
}

/// Accepts a URN: `urn:`, a namespace, and a name in it, with the optional components of RFC 8141,
/// section 2. In at most 512 bytes.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn urn<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::Urn.check(text)
}

/// Accepts a name for people to read: 1 to 128 characters of UTF-8 in at most 512 bytes, without
/// spaces at the ends. Controls, line separators, direction overrides, invisible characters and
/// code points that are none are refused, for they make one name look like another or disturb a
/// terminal. Joiners pass between other characters: some scripts need them.
///
/// Two names that look alike may still differ (`а` in Cyrillic): that takes the tables of Unicode.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn display_name<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::DisplayName.check(text)
}

/// Accepts a service type of connect-plugin hosts: a letter, then letters, digits, `_`, `-` and
/// dots that stand alone and not at the end, in at most 128 bytes. Safe as one segment of a path.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn service_type<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::ServiceType.check(text)
}

/// Accepts the name a plugin gives itself, which follows the rules of [`service_type`].
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn self_id<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::SelfId.check(text)
}

/// Accepts a key of a connect-plugin message's metadata: as [`service_type`], in at most 256 bytes.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn metadata_key<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::MetadataKey.check(text)
}

/// Accepts an absolute path of plain segments (letters, digits, `-`, `_`, `~` and dots that stand
/// alone), in at most 256 bytes; a slash at the end is allowed. It reads the same before and after
/// any decoding, and wherever it is appended.
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn endpoint_path<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::EndpointPath.check(text)
}

/// Accepts a relative path that stays where it is put on every file system: segments of 1 to 255
/// bytes separated by `/`, none of them dots, ending in a dot or a space, or a Windows device name;
/// no control characters and none of `\ : * ? " < > |`. In at most 1024 bytes of UTF-8.
///
/// That is all a text can tell. Links are for [`FileRoot`](super::FileRoot).
///
/// # Errors
///
/// [`InvalidFormat`] if it is anything else.
pub fn file_path<T: AsRef<[u8]> + ?Sized>(text: &T) -> Result<(), InvalidFormat> {
    Format::FilePath.check(text)
}
