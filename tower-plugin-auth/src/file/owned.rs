//! Opens, locks and replaces files that nobody but their owner may touch.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

/// Why a file is not opened or locked.
#[derive(Debug)]
pub(crate) enum Denied {
    /// Others than its owner may read or write it, or it is no regular file.
    Exposed,
    /// Somebody else has it open.
    InUse,
    Io(io::Error),
}

impl From<io::Error> for Denied {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens a file that only its owner can have touched.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Denied> {
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let file = match options.mode(0o600).custom_flags(no_link).open(path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            return Err(Denied::Exposed);
        }
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Err(Denied::Exposed);
    }
    Ok(file)
}

/// Keeps other processes out until what it returns is closed, whatever ends this one.
pub(crate) fn lock(path: &Path) -> Result<File, Denied> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(beside(path, ".lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(Denied::InUse),
        Err(error) => Err(Denied::Io(error.into())),
    }
}

/// Replaces a file as a whole: whoever reads it sees the old one or the new one, and with `sync` so does
/// whoever reads it after the machine has stopped.
pub(crate) fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let new = beside(path, ".new");
    // What a crash has left. Nobody else has the lock.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    if sync {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if sync {
        sync_parent(path)?;
    }
    Ok(())
}

/// The name of a file is its directory's, which has to reach the disk, too.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
