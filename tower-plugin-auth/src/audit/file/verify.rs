use std::{
    fs::File,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use super::{
    chain::Head,
    error::{FileSinkError, FileSinkErrorKind},
    place,
    scan::Scan,
};
use crate::token::KeyRing;

mod anchor;
mod finding;

pub use anchor::{Anchor, InvalidAnchor};
pub use finding::{Finding, FindingKind, Report};

/// Finds out whether somebody has changed an audit log, and where.
///
/// It reads a log once, line by line, and keeps no more than a line of it. The log may be in use. No key to
/// decrypt is needed.
///
/// What it finds: a line that was changed, left out, moved, repeated or put in; a file that is
/// missing or cut off; what the head names and the log does not have. What nobody can find without looking
/// elsewhere: a log of which *both* the files and the head were put back to what they were at an earlier time,
/// or removed as a whole, or written anew by somebody who has a key. So keep the head on
/// [another disk](Self::with_head), or note an [anchor](Report::anchor) somewhere else now and then and
/// [ask for it](Self::with_anchor). Lines that were never written, as the process was killed, are missing
/// without a trace.
///
/// A key that was replaced does not come back: whoever has got hold of it can put no line after one of its successor.
/// He can still write anew what was written before, and leave out all that came after. So note an anchor when
/// the first lines under a new key are written.
///
/// ```
/// use tower_plugin_auth::{
///     audit::{AuditEvent, AuditSink, FileSink, Outcome, Verifier},
///     token::{KeyRing, Pepper},
/// };
///
/// # let directory = std::env::temp_dir().join(format!("tower-plugin-doc-verify-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("audit");
/// let key = || Pepper::new(1, &[7; 32]); // yours comes from a secret store
/// let sink = FileSink::builder(&path, KeyRing::new(key()?, [])?).open()?;
/// sink.record(&AuditEvent::new("authz_fail", Outcome::Denied));
/// drop(sink);
///
/// let report = Verifier::new(&KeyRing::new(key()?, [])?).log(&path)?;
/// assert!(report.is_intact());
/// assert_eq!(report.last(), Some(1)); // the first line of a file says which one it is
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verifier<'a> {
    keys: &'a KeyRing,
    head: Option<PathBuf>,
    is_pruned: bool,
    at_least: Option<u64>,
    anchor: Option<Anchor>,
}

impl<'a> Verifier<'a> {
    /// With the keys the log was written under, old ones included, and the latest one active: a line under an old
    /// key after one under the active key is a finding.
    pub fn new(keys: &'a KeyRing) -> Self {
        Self {
            keys,
            head: None,
            is_pruned: false,
            at_least: None,
            anchor: None,
        }
    }

    /// Where the head is, if it is not beside the log.
    pub fn with_head(mut self, path: impl Into<PathBuf>) -> Self {
        self.head = Some(path.into());
        self
    }

    /// Takes it that the first files were put away: the log may begin with any of them.
    pub fn with_pruned(mut self) -> Self {
        self.is_pruned = true;
        self
    }

    /// Wants the log to have got to this number. An older log that was put back and written on gets there, too:
    /// [`with_anchor`](Self::with_anchor) also tells whether it is the same log.
    pub fn with_at_least(mut self, sequence: u64) -> Self {
        self.at_least = Some(sequence);
        self
    }

    /// Wants this line to be in the log, with this MAC: so all up to it is what it was when the anchor was
    /// [taken](Report::anchor). If its file was put away nobody can tell, which is a finding; take a new
    /// anchor before putting files away.
    pub fn with_anchor(mut self, anchor: Anchor) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// Looks at a whole log, by the path it was opened at.
    ///
    /// # Errors
    ///
    /// [`FileSinkError`] if it cannot be read, or others than its owner may. What is wrong with what
    /// it says is in the [`Report`].
    pub fn log(&self, path: impl AsRef<Path>) -> Result<Report, FileSinkError> {
        let path = path.as_ref();
        let head_path = self.head.clone().unwrap_or_else(|| place::head(path));
        // First: what is written meanwhile is ahead of it, not behind.
        let head = place::read_head(&head_path)?;
        let segments = place::segments(path).map_err(|error| FileSinkError::io(error, path))?;
        if segments.is_empty() {
            return Err(FileSinkError::at(FileSinkErrorKind::Missing, path));
        }
        let mut scan = self.scan(self.is_pruned);
        match head.map(|text| Head::open(&text, self.keys)) {
            None => scan.note_head(&head_path, FindingKind::HeadMissing),
            Some(None) => scan.note_head(&head_path, FindingKind::HeadAltered),
            Some(Some(head)) => scan.expect(head),
        }
        let count = segments.len();
        for (index, (_, path)) in segments.iter().enumerate() {
            let reader = place::read_segment(path)?;
            let read = scan.segment(path, reader, index + 1 == count);
            read.map_err(|error| FileSinkError::io(error, path))?;
        }
        Ok(scan.finish(self.at_least))
    }

    /// Looks at one file alone, such as one that was put away. That its end is missing cannot be seen.
    ///
    /// # Errors
    ///
    /// As for [`log`](Self::log).
    pub fn file(&self, path: impl AsRef<Path>) -> Result<Report, FileSinkError> {
        let path = path.as_ref();
        let reader = place::read_segment(path)?;
        self.reader(path, reader)
            .map_err(|error| FileSinkError::io(error, path))
    }

    /// As [`file`](Self::file), wherever it comes from; `name` is what findings call it.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    pub fn reader(&self, name: impl AsRef<Path>, reader: impl BufRead) -> io::Result<Report> {
        let mut scan = self.scan(true);
        scan.segment(name.as_ref(), reader, true)?;
        Ok(scan.finish(self.at_least))
    }

    fn scan(&self, is_pruned: bool) -> Scan<'a> {
        let mut scan = Scan::new(self.keys, is_pruned);
        scan.anchor = self.anchor;
        scan
    }
}

/// For whoever goes on with a log: the scan itself, from the head's file on.
pub(super) fn from_head<'a>(
    keys: &'a KeyRing,
    head: Head,
    segments: &[(u64, PathBuf)],
) -> Result<Scan<'a>, FileSinkError> {
    let mut scan = Scan::new(keys, true);
    scan.expect(head);
    let count = segments.len();
    for (index, (_, path)) in segments.iter().enumerate() {
        let reader: io::BufReader<File> = place::read_segment(path)?;
        let read = scan.segment(path, reader, index + 1 == count);
        read.map_err(|error| FileSinkError::io(error, path))?;
    }
    Ok(scan)
}

#[cfg(test)]
mod tests;
