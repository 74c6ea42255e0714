//! Files that are nothing else.

use std::{fs::File, io, path::Path};

/// Opens a regular file to read from: a pipe would keep its reader waiting, and a device never ends.
///
/// # Errors
///
/// What the system says; and an error of its own for anything that is no regular file, which is looked at
/// before it is opened, as opening a pipe may wait already, and once it is open.
pub fn open(path: &Path) -> io::Result<File> {
    let must_be_file = |is_file| match is_file {
        true => Ok(()),
        false => Err(io::Error::other("not a regular file")),
    };
    must_be_file(std::fs::metadata(path)?.is_file())?;
    let file = File::open(path)?;
    must_be_file(file.metadata()?.is_file())?;
    Ok(file)
}
