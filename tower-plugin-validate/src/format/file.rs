//! Files below a directory, named by texts from elsewhere.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::file_path;

/// A directory that names from elsewhere may not lead out of.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::format::FileRoot;
///
/// let root = FileRoot::new(std::env::temp_dir())?;
/// assert!(root.join("profiles/alice.json").is_ok());
/// assert!(root.join("../../etc/passwd").is_err());
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileRoot {
    directory: PathBuf,
}

impl FileRoot {
    /// Takes a directory that exists, with its links resolved. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// That of the file system, or [`NotADirectory`](io::ErrorKind::NotADirectory).
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        let directory = directory.as_ref().canonicalize()?;
        if !directory.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { directory })
    }

    /// The directory, without links in its path.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a file below the directory, by its name alone: the file system is not asked, and
    /// whether a segment of the name is a link that leads elsewhere is not known. Enough where
    /// nobody else can make links there.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) around the
    /// [`InvalidFormat`](super::InvalidFormat) if it is no [`file_path`].
    pub fn join(&self, name: &str) -> io::Result<PathBuf> {
        file_path(name).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        Ok(self.directory.join(name))
    }

    /// The path of a file that exists below the directory, with its links resolved, if that is
    /// still below it. Blocks on the file system.
    ///
    /// Somebody who can write there may put a link in place between this look and the use of the
    /// path; only opening relative to a directory handle closes that.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join), that of the file system, or
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if a link leads out.
    pub fn existing(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.join(name)?.canonicalize()?;
        if !path.starts_with(&self.directory) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(path)
    }
}
