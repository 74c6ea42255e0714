//! Engine: the program a plugin consists of.

use std::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 and the size of a program, and how they are known.
///
/// *Measured* means taken from the bytes that are used: hash what you are about to run or have received, and run
/// or keep those very bytes. Whoever reads a file again by its path may read another one. *Declared* means that
/// the caller says so: everyone who can read the manifest can say it, so it proves nothing by itself.
///
/// ```
/// use tower_plugin_auth::admission::{Artifact, ArtifactHasher};
///
/// let mut hasher = ArtifactHasher::new();
/// for chunk in [b"what was ", &b"received"[..]] {
///     hasher.update(chunk);
/// }
/// assert_eq!(hasher.finish(), Artifact::of(b"what was received"));
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Artifact {
    sha256: [u8; 32],
    size: u64,
    is_measured: bool,
}

impl Artifact {
    /// Measures these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ArtifactHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// What a caller says of itself.
    #[must_use]
    pub const fn declared(sha256: [u8; 32], size: u64) -> Self {
        Self {
            sha256,
            size,
            is_measured: false,
        }
    }

    /// The digest of the bytes.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// How many bytes there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it was taken from the bytes themselves.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.is_measured
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("sha256", &format_args!("{}", Hex(&self.sha256)))
            .field("size", &self.size)
            .field("is_measured", &self.is_measured)
            .finish()
    }
}

/// Measures a program that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct ArtifactHasher {
    hash: Sha256,
    size: u64,
}

impl ArtifactHasher {
    /// Nothing measured yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.size = self.size.saturating_add(piece.len() as u64);
    }

    /// How many bytes there were so far: stop reading at your limit.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the pieces amount to.
    #[must_use]
    pub fn finish(self) -> Artifact {
        Artifact {
            sha256: self.hash.finalize().into(),
            size: self.size,
            is_measured: true,
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
