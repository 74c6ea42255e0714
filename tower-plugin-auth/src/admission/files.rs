//! Small files, read once and up to a bound.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

/// All of a regular file, or one byte more than `max` of it.
pub(super) fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first and only line of a file that only its owner may read.
pub(super) fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    let (file, metadata) = open(path)?;
    if is_exposed(&metadata) {
        return Err(io::Error::other(
            "others than its owner may read or write it",
        ));
    }
    // All the room it may take, so that no copy is left behind where it was smaller.
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET_FILE + 1));
    file.take(MAX_SECRET_FILE as u64 + 1)
        .read_to_string(&mut text)?;
    if text.len() > MAX_SECRET_FILE {
        return Err(io::Error::other("more than 4096 bytes"));
    }
    let len = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(len);
    Ok(text)
}

/// A pipe would keep its reader waiting before it can be looked at, so it is looked at twice.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let must_be_file = |metadata: &Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("not a regular file")),
    };
    must_be_file(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    must_be_file(&metadata)?;
    Ok((file, metadata))
}

#[cfg(unix)]
fn is_exposed(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &Metadata) -> bool {
    false
}

const MAX_SECRET_FILE: usize = 4096;
