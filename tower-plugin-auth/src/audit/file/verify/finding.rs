use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::Anchor;

/// Something that is wrong with an audit log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    pub(in crate::audit::file) file: PathBuf,
    pub(in crate::audit::file) line: u64,
    pub(in crate::audit::file) sequence: Option<u64>,
    pub(in crate::audit::file) kind: FindingKind,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The line is not what was written there: it was changed, or made up, or the line before is not what
    /// it was.
    Altered,
    /// The line has another MAC than the [`Anchor`] says: it is of another log, or all was written anew.
    AnchorMismatch,
    /// The line of the [`Anchor`] is not there, though later ones are, so nobody can compare it.
    AnchorMissing,
    /// The head is not what was written, or was written under a key that is not on the ring.
    HeadAltered,
    /// There is no head, so nobody can say whether the end of the log is missing.
    HeadMissing,
    /// The line has another MAC than the head says: the log or the head belongs to another.
    HeadMismatch,
    /// The head names this line, and was written under a key of this version, which had been replaced before.
    HeadReplacedKey(u32),
    /// Not a line of an audit log.
    Malformed,
    /// The first line of a file where none begins, or a file without one.
    Misplaced,
    /// Lines or whole files are missing before this line.
    Missing {
        /// The number of the first of them.
        from: u64,
    },
    /// The number of the line was there before: it was moved or repeated.
    Repeated,
    /// The line was written under a key of this version, which had been replaced before.
    ReplacedKey(u32),
    /// The end is missing: this is the last line there is.
    Truncated {
        /// The number of the line that was the last, or comes after it.
        until: u64,
    },
    /// The last line of the file has no end.
    Unfinished,
    /// The line was written under a key of this version, which is not on the ring.
    UnknownKey(u32),
}

impl Finding {
    /// In which file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// At which line of it, the first one being 1; 0 where it is about no line.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Which number the line has, or says it has.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.kind
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some(sequence) = self.sequence {
            write!(f, " (number {sequence})")?;
        }
        f.write_str(": ")?;
        match self.kind {
            FindingKind::Altered => f.write_str("altered"),
            FindingKind::AnchorMismatch => f.write_str("not the line that the anchor names"),
            FindingKind::AnchorMissing => {
                f.write_str("the line that the anchor names is not there")
            }
            FindingKind::HeadAltered => f.write_str("the head was altered"),
            FindingKind::HeadMissing => f.write_str("the head is missing"),
            FindingKind::HeadMismatch => f.write_str("not the line that the head names"),
            FindingKind::HeadReplacedKey(version) => write!(
                f,
                "the head is of key version {version}, which was replaced before"
            ),
            FindingKind::Malformed => f.write_str("not a line of an audit log"),
            FindingKind::Misplaced => f.write_str("a file does not begin here"),
            FindingKind::Missing { from } => write!(f, "missing before it, from number {from}"),
            FindingKind::Repeated => f.write_str("moved or repeated"),
            FindingKind::ReplacedKey(version) => {
                write!(f, "of key version {version}, which was replaced before")
            }
            FindingKind::Truncated { until } => {
                write!(f, "missing after it, until number {until}")
            }
            FindingKind::Unfinished => f.write_str("cut off within the line"),
            FindingKind::UnknownKey(version) => {
                write!(f, "key version {version} is not on the ring")
            }
        }
    }
}

/// What a [`Verifier`](super::Verifier) has seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(in crate::audit::file) files: u64,
    pub(in crate::audit::file) lines: u64,
    pub(in crate::audit::file) first: Option<u64>,
    pub(in crate::audit::file) last: Option<Anchor>,
    pub(in crate::audit::file) is_being_written: bool,
    pub(in crate::audit::file) findings: Vec<Finding>,
    pub(in crate::audit::file) found: u64,
}

impl Report {
    /// The most findings that are kept.
    pub const MAX_FINDINGS: usize = 100;

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.found == 0
    }

    /// What is wrong, in the order of the log; the first 100 of it.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How much is wrong. One change may show in several places.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files
    }

    /// How many lines, the first ones of files included.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The number of the first line: 0 unless older files were put away.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// The number of the last line.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.last.as_ref().map(Anchor::sequence)
    }

    /// The last line, to be noted elsewhere and [asked for](super::Verifier::with_anchor) later; none of a log with
    /// which anything is wrong.
    #[must_use]
    pub fn anchor(&self) -> Option<Anchor> {
        self.last.filter(|_| self.is_intact())
    }

    /// Whether the end of the log is a line without an end, further on than the head: it is being written,
    /// or its writer was killed.
    #[must_use]
    pub fn is_being_written(&self) -> bool {
        self.is_being_written
    }

    pub(in crate::audit::file) fn note(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < Self::MAX_FINDINGS {
            self.findings.push(finding);
        }
    }
}
