use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use super::OptionsError;
use crate::regular_file;

/// The text of a regular file of at most 4096 bytes that its owner alone can read and change.
///
/// `flag` is what it was named by.
pub(super) fn read(flag: &'static str, path: &Path) -> Result<Zeroizing<String>, OptionsError> {
    let failed = |error| OptionsError::File(flag, path.to_owned(), error);
    let file = regular_file::open(path).map_err(failed)?;
    if is_exposed(&file.metadata().map_err(failed)?) {
        return Err(failed(io::Error::other(EXPOSED)));
    }
    // All the room it may take, so that no copy is left behind where it was smaller.
    let mut text = Zeroizing::new(String::with_capacity(MAX_SECRET_FILE + 1));
    file.take(MAX_SECRET_FILE as u64 + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() > MAX_SECRET_FILE {
        return Err(failed(io::Error::other("more than 4096 bytes")));
    }
    Ok(text)
}

#[cfg(unix)]
pub(in crate::host) fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.permissions().mode() & 0o066 != 0
}

#[cfg(not(unix))]
pub(in crate::host) fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

/// What is said of a file that [`is_exposed`].
pub(in crate::host) const EXPOSED: &str =
    "others than its owner can read or change it: chmod 600 it";
const MAX_SECRET_FILE: usize = 4096;
