//! What was the last manifest seen, so that no earlier one comes back.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{Timestamp, VerifiedManifest};
use crate::admission::files;

/// The last manifest that was believed: of two the later one counts, and of one instant there is one only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    generated_at: Timestamp,
    sha256: [u8; 32],
}

impl Mark {
    /// The mark this manifest leaves: when it was generated, and the SHA-256 of the bytes that are signed.
    #[must_use]
    pub fn of(manifest: &VerifiedManifest) -> Self {
        let manifest = manifest.manifest();
        Self {
            generated_at: manifest.generated_at(),
            sha256: Sha256::digest(manifest.signed_bytes()).into(),
        }
    }

    /// Whether this one may follow `last`: it is later, or the same.
    #[must_use]
    pub fn may_follow(&self, last: &Self) -> bool {
        self.generated_at > last.generated_at || self == last
    }

    fn write(&self) -> String {
        let digits: String = self.sha256.map(|byte| format!("{byte:02x}")).concat();
        format!("{} {digits}\n", self.generated_at)
    }

    fn read(text: &str) -> Option<Self> {
        let (generated_at, digits) = text.strip_suffix('\n')?.split_once(' ')?;
        Some(Self {
            generated_at: generated_at.parse().ok()?,
            sha256: super::fields::from_hex(digits)?,
        })
    }
}

/// Remembers a [`Mark`].
///
/// It is asked and told while a manifest is installed, on the thread that does, and may block. What it cannot
/// answer or keep leaves the manifest that is in force where it is.
pub trait Watermark: Send + Sync {
    /// The mark kept last; none if none ever was.
    ///
    /// # Errors
    ///
    /// What kept it from answering. No mark is no error, and a mark that is lost is one.
    fn load(&self) -> io::Result<Option<Mark>>;

    /// Keeps a mark for good before it returns.
    ///
    /// # Errors
    ///
    /// What kept it from doing so.
    fn store(&self, mark: &Mark) -> io::Result<()>;
}

/// Remembers the last manifest for as long as the process runs: after a restart any may be the first.
#[derive(Debug, Default)]
pub struct MemoryWatermark(Mutex<Option<Mark>>);

impl MemoryWatermark {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Watermark for MemoryWatermark {
    fn load(&self) -> io::Result<Option<Mark>> {
        Ok(*self.0.lock())
    }

    fn store(&self, mark: &Mark) -> io::Result<()> {
        *self.0.lock() = Some(*mark);
        Ok(())
    }
}

/// Leaves another's mark as it is, and remembers what comes after it for as long as the process runs.
pub(in crate::admission) struct ReadOnly {
    before: Arc<dyn Watermark>,
    since: MemoryWatermark,
}

impl ReadOnly {
    pub(in crate::admission) fn new(before: Arc<dyn Watermark>) -> Self {
        Self {
            before,
            since: MemoryWatermark::new(),
        }
    }
}

impl Watermark for ReadOnly {
    fn load(&self) -> io::Result<Option<Mark>> {
        match self.since.load()? {
            Some(mark) => Ok(Some(mark)),
            None => self.before.load(),
        }
    }

    fn store(&self, mark: &Mark) -> io::Result<()> {
        self.since.store(mark)
    }
}

/// Remembers the last manifest in a small file, across restarts.
///
/// Whoever can delete or write the file can bring an earlier manifest back: let the directory be the host's alone.
/// It is replaced as a whole, and is on disk before the manifest is in force. A file that is there and cannot be
/// read is an error, and so are what is no regular file and a directory that is missing.
///
/// **One for each process**: there is no lock on the file, and of two processes that install at the same time the one
/// that writes last decides, so an earlier manifest could come back. Hosts on several machines, and several on one,
/// each have their own.
pub struct FileWatermark(PathBuf);

impl FileWatermark {
    /// In the file at this path, which need not exist yet. Its directory must.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn directory(&self) -> &Path {
        let parent = self.0.parent();
        let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new("."))
    }
}

impl Watermark for FileWatermark {
    fn load(&self) -> io::Result<Option<Mark>> {
        let file = match files::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Where the directory is not mounted, there may be a mark in it.
                fs::metadata(self.directory())?;
                return Ok(None);
            }
            opened => opened?,
        };
        let mut text = String::new();
        file.take(MAX_LEN).read_to_string(&mut text)?;
        let mark = Mark::read(&text).ok_or_else(|| io::Error::other("not a watermark"))?;
        Ok(Some(mark))
    }

    fn store(&self, mark: &Mark) -> io::Result<()> {
        let mut new = OsString::from(&self.0);
        new.push(".new");
        // What a crash has left.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = create_new(new.as_ref())?;
        file.write_all(mark.write().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        // The name is the directory's, which has to reach the disk, too.
        #[cfg(unix)]
        File::open(self.directory())?.sync_all()?;
        Ok(())
    }
}

impl fmt::Debug for FileWatermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileWatermark").field(&self.0).finish()
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// More than any mark has.
const MAX_LEN: u64 = 256;
