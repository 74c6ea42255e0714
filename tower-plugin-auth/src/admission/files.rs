//! Small files, read once and up to a bound.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;
#[cfg(unix)]
use {
    crate::file::{Links, is_private_to, open_regular},
    rustix::process::geteuid,
    std::fs::OpenOptions,
};

/// All of a regular file, or one byte more than `max` of it.
pub(super) fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first and only line of a file that is ours, and that nobody else may read.
pub(super) fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = open(path)?;
    if is_exposed(&file)? {
        return Err(io::Error::other(
            "not this user's, or others may read or write it",
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

/// Links are followed: that is how files are mounted in containers.
#[cfg(unix)]
pub(super) fn open(path: &Path) -> io::Result<File> {
    let opened = open_regular(path, OpenOptions::new().read(true), Links::Follow)?;
    opened.ok_or_else(not_regular)
}

/// A pipe would keep its reader waiting before it can be looked at, so it is looked at twice.
#[cfg(not(unix))]
pub(super) fn open(path: &Path) -> io::Result<File> {
    let must_be_file = |metadata: std::fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(not_regular()),
    };
    must_be_file(std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    must_be_file(file.metadata()?)?;
    Ok(file)
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    Ok(!is_private_to(&file.metadata()?, geteuid().as_raw()))
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn not_regular() -> io::Error {
    io::Error::other("not a regular file")
}

const MAX_SECRET_FILE: usize = 4096;

#[cfg(all(test, unix))]
mod tests;
