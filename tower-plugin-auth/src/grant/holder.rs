//! Engine: who may use a grant.

use std::fmt;

use sha2::{Digest, Sha256};

/// Who may use a grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Holder {
    /// Whoever sends it. As good as the channel it travels on, and as the discretion of everybody who sees it.
    Bearer,
    /// Whoever has proved to hold this client certificate.
    Certificate(Thumbprint),
    /// The principal it was issued to.
    Principal,
}

/// The SHA-256 of a client certificate (DER): `x5t#S256` of RFC 8705, section 3.1.
///
/// ```
/// use tower_plugin_auth::grant::Thumbprint;
///
/// # let der: &[u8] = b"a certificate";
/// let thumbprint = Thumbprint::of_certificate(der);
/// assert_eq!(thumbprint.as_bytes().len(), 32);
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// That of this certificate.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// The one with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thumbprint(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
