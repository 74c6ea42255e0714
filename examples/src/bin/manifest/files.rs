//! Files: read once, up to a bound; written whole, or not at all.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tower_plugin_auth::admission::{Artifact, ArtifactHasher};
use tower_plugin_examples::regular_file;
use zeroize::Zeroizing;

use crate::Failure;

/// All of a regular file, if it has no more than `max` bytes.
pub(crate) fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let read = || {
        let file = regular_file::open(path)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        match bytes.len() > max {
            true => Err(io::Error::other(format!("more than {max} bytes"))),
            false => Ok(bytes),
        }
    };
    read().map_err(|error| Failure::file(path, error))
}

/// A file that nobody but its owner may read or write.
pub(crate) fn read_private(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(path).map_err(|error| Failure::file(path, error))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Failure::file(
                path,
                "others than its owner may read or write it: chmod 600 it",
            ));
        }
    }
    read(path, max)
}

/// Measures a file, if it has no more than `max` bytes. What is hashed is what is read: nothing is opened twice.
pub(crate) fn measure(path: &Path, max: u64) -> io::Result<Artifact> {
    let mut file = regular_file::open(path)?;
    let mut hasher = ArtifactHasher::new();
    let mut piece = [0; 64 << 10];
    loop {
        let len = file.read(&mut piece)?;
        if len == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&piece[..len]);
        if hasher.size() > max {
            return Err(io::Error::other(format!("more than {max} bytes")));
        }
    }
}

/// Makes a file that must not be there yet.
pub(crate) fn create(path: &Path, bytes: &[u8], is_private: bool) -> Result<(), Failure> {
    let create = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(if is_private { 0o600 } else { 0o644 });
        }
        #[cfg(not(unix))]
        let _ = is_private;
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    create().map_err(|error| Failure::file(path, error))
}

/// Puts a file in the place of another: whoever reads it sees the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut new = OsString::from(path);
    new.push(".new");
    let new = PathBuf::from(new);
    create(&new, bytes, false)?;
    fs::rename(&new, path).map_err(|error| Failure::file(path, error))
}
