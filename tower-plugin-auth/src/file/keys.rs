//! Engine: the keys under which files are encrypted.

use std::fmt;

use aes_gcm::{Aes256Gcm, KeyInit};

/// One key of a [`FileKeyRing`] and the number files name it by.
///
/// It is wiped when dropped and never shown by `Debug`. Under one key at most 2^32 messages may be
/// encrypted, as nonces are random: changes of a store of tokens, which at ten a second takes thirteen years, or
/// records of an audit log, which at a hundred a second takes sixteen months.
pub struct FileKey {
    version: u32,
    cipher: Aes256Gcm,
}

impl FileKey {
    /// The length of a key in bytes.
    pub const LEN: usize = 32;

    /// Takes 32 bytes of randomness; `version` must be new whenever the key is.
    ///
    /// # Errors
    ///
    /// [`InvalidFileKey::Length`] if there are more or fewer.
    pub fn new(version: u32, key: &[u8]) -> Result<Self, InvalidFileKey> {
        if key.len() != Self::LEN {
            return Err(InvalidFileKey::Length);
        }
        let cipher = Aes256Gcm::new_from_slice(key).map_err(|_| InvalidFileKey::Length)?;
        Ok(Self { version, cipher })
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The keys in use: one encrypts, all of them decrypt.
///
/// To rotate, make the new key active and keep the old one: for a store of tokens until its file has been
/// opened once, which writes it anew; for an audit log for as long as it is to be read.
///
/// ```
/// # #[cfg(feature = "encrypted-file")]
/// use tower_plugin_auth::store::{FileKey, FileKeyRing};
/// # #[cfg(not(feature = "encrypted-file"))]
/// # use tower_plugin_auth::audit::{FileKey, FileKeyRing};
///
/// let old = FileKey::new(1, &[1; 32])?; // yours come from a secret store
/// let keys = FileKeyRing::new(FileKey::new(2, &[2; 32])?, [old])?;
/// assert_eq!(keys.active(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileKeyRing {
    active: FileKey,
    decrypt_only: Vec<FileKey>,
}

impl FileKeyRing {
    /// One key to encrypt under, and former ones that still decrypt.
    ///
    /// # Errors
    ///
    /// [`InvalidFileKey::RepeatedVersion`] if two have the same version.
    pub fn new(
        active: FileKey,
        decrypt_only: impl IntoIterator<Item = FileKey>,
    ) -> Result<Self, InvalidFileKey> {
        let mut ring = Self {
            active,
            decrypt_only: Vec::new(),
        };
        for key in decrypt_only {
            if ring.find(key.version).is_some() {
                return Err(InvalidFileKey::RepeatedVersion(key.version));
            }
            ring.decrypt_only.push(key);
        }
        Ok(ring)
    }

    /// The version of the key that encrypts.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.version
    }

    pub(crate) fn cipher(&self) -> &Aes256Gcm {
        &self.active.cipher
    }

    pub(crate) fn find(&self, version: u32) -> Option<&Aes256Gcm> {
        std::iter::once(&self.active)
            .chain(&self.decrypt_only)
            .find(|key| key.version == version)
            .map(|key| &key.cipher)
    }
}

/// Keys that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidFileKey {
    /// Not [`FileKey::LEN`] bytes.
    Length,
    /// Two keys of this version: files could not tell them apart.
    RepeatedVersion(u32),
}

impl fmt::Display for InvalidFileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "file key must have {} bytes", FileKey::LEN),
            Self::RepeatedVersion(version) => {
                write!(
                    f,
                    "version of each file key must be unique, {version} is not"
                )
            }
        }
    }
}

impl std::error::Error for InvalidFileKey {}
