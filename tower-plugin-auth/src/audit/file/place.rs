//! Where the files of a log are.

use std::{
    fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use super::error::{FileSinkError, FileSinkErrorKind};
use crate::file::{self, beside};

/// Of the log at this path: its files, in their order, and their numbers.
///
/// A file of the log at `/var/log/app/audit` is `/var/log/app/audit.00000001.jsonl`.
pub(super) fn segments(log: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let parent = log
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = log
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut segments = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|entry| {
            let number = entry.strip_prefix(name)?.strip_prefix('.')?;
            let number = number.strip_suffix(".jsonl")?;
            let is_number = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| number.parse().ok())?
        });
        if let Some(number) = number {
            segments.push((number, entry.path()));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

pub(super) fn segment(log: &Path, number: u64) -> PathBuf {
    beside(log, &format!(".{number:08}.jsonl"))
}

pub(super) fn head(log: &Path) -> PathBuf {
    beside(log, ".head")
}

/// The text of a head, if there is one.
pub(super) fn read_head(path: &Path) -> Result<Option<Vec<u8>>, FileSinkError> {
    let opened = match file::read(path) {
        Err(file::Denied::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|denied| FileSinkError::denied(denied, path))?,
    };
    let mut text = Vec::new();
    let read = opened.take(MAX_HEAD).read_to_end(&mut text);
    read.map_err(|error| FileSinkError::io(error, path))?;
    Ok(Some(text))
}

pub(super) fn read_segment(path: &Path) -> Result<BufReader<fs::File>, FileSinkError> {
    let opened = file::read(path);
    let opened = opened.map_err(|denied| FileSinkError::denied(denied, path))?;
    Ok(BufReader::with_capacity(64 * 1024, opened))
}

/// A log that others may read tells them who calls when.
impl FileSinkError {
    pub(super) fn denied(denied: file::Denied, path: &Path) -> Self {
        match denied {
            file::Denied::Exposed => Self::at(FileSinkErrorKind::Exposed, path),
            file::Denied::InUse => Self::at(FileSinkErrorKind::InUse, path),
            file::Denied::Io(error) => Self::io(error, path),
        }
    }
}

/// Several times as long as one is.
const MAX_HEAD: u64 = 1024;
