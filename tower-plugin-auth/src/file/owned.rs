//! Opens, locks and replaces files that nobody but their owner may touch.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};

use super::regular::{Links, is_private_to};

/// Why a file is not opened or locked.
#[derive(Debug)]
pub(crate) enum Denied {
    /// Others than its owner may read or write it, its owner is somebody else, or it is no regular file.
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

/// Opens a file that nobody but us can have touched. Whoever is allowed everything needs to be asked whose it is:
/// others cannot open what is somebody else's alone.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Denied> {
    let file = open_regular(path, options)?;
    match is_private_to(&file.metadata()?, geteuid().as_raw()) {
        true => Ok(file),
        false => Err(Denied::Exposed),
    }
}

/// Opens to read what only its owner can have touched, whoever that is: for what proves itself to be genuine.
#[cfg(any(test, feature = "audit-file"))]
pub(crate) fn read(path: &Path) -> Result<File, Denied> {
    let file = open_regular(path, OpenOptions::new().read(true))?;
    let metadata = file.metadata()?;
    let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
    match is_private_to(&metadata, owner) {
        true => Ok(file),
        false => Err(Denied::Exposed),
    }
}

/// Neither follows a link nor waits for whoever is at the other end of a pipe.
fn open_regular(path: &Path, options: &mut OpenOptions) -> Result<File, Denied> {
    let opened = super::regular::open_regular(path, options, Links::Refuse)?;
    opened.ok_or(Denied::Exposed)
}

/// Keeps other processes out until what it returns is closed, whatever ends this one.
pub(crate) fn lock(path: &Path) -> Result<File, Denied> {
    let mut options = OpenOptions::new();
    let lock = open_regular(
        &beside(path, ".lock"),
        options.write(true).create(true).truncate(false),
    )?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(Denied::InUse),
        Err(error) => Err(Denied::Io(error.into())),
    }
}

/// Replaces a file as a whole: whoever reads it sees the old one or the new one, and with `sync` so does
/// whoever reads it after the machine has stopped.
#[cfg(feature = "encrypted-file")]
pub(crate) fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    swap(path, bytes, sync)?;
    match sync {
        true => sync_parent(path),
        false => Ok(()),
    }
}

/// The first part of [`replace`]: after an error the old file is there, and otherwise the new one. Until its
/// directory is [synced](sync_parent), either may be there after the machine has stopped.
pub(crate) fn swap(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
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
    fs::rename(&new, path)
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

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::mpsc, thread, time::Duration};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_is_private_to_its_owner_and_to_nobody_else() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a");
        let file = open(&path, OpenOptions::new().write(true).create_new(true)).unwrap();
        let metadata = file.metadata().unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
        assert!(is_private_to(&metadata, owner));
        assert!(!is_private_to(&metadata, owner + 1));
    }

    /// Needs to be root, as whoever is not can neither give a file away nor open such a one.
    #[test]
    fn a_file_of_somebody_else_is_not_written_and_is_read_only_where_it_proves_itself() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if std::os::unix::fs::chown(&path, Some(geteuid().as_raw() + 1), None).is_err() {
            return;
        }
        for options in [
            OpenOptions::new().append(true),
            OpenOptions::new().read(true),
        ] {
            let denied = open(&path, options).unwrap_err();
            assert!(matches!(denied, Denied::Exposed), "{denied:?}");
        }
        read(&path).unwrap();
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a");
        for name in ["a", "a.lock"] {
            let pipe = directory.path().join(name);
            let made = Command::new("mkfifo")
                .args(["-m", "600"])
                .arg(&pipe)
                .status();
            assert!(made.unwrap().success());
        }
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for denied in [
                open(&path, OpenOptions::new().read(true)).err(),
                open(&path, OpenOptions::new().append(true)).err(),
                read(&path).err(),
                lock(&path).err(),
            ] {
                sender.send(denied).unwrap();
            }
        });
        for _ in 0..4 {
            let denied = answers.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(matches!(denied, Some(Denied::Exposed)), "{denied:?}");
        }
    }
}
