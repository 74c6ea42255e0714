//! Reads a log from its beginning and compares it with what must have been written.

use std::{
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
};

use super::{
    MAX_LINE,
    chain::{Head, Line, Link, Segment, Succession},
    verify::{Anchor, Finding, FindingKind, Report},
};
use crate::token::KeyRing;

pub(super) struct Scan<'a> {
    keys: &'a KeyRing,
    is_pruned: bool,
    head: Option<Head>,
    /// Until it is seen.
    pub(super) anchor: Option<Anchor>,
    report: Report,
    /// After the last line that was where it belongs, whether it was genuine or not: what comes next is
    /// compared with it, so that one change is one finding.
    link: Option<Link>,
    /// The file read last, how many lines it has, and how long all of them are.
    file: PathBuf,
    line: u64,
    len: u64,
    segment: Option<Segment>,
    succession: Succession,
}

impl<'a> Scan<'a> {
    pub(super) fn new(keys: &'a KeyRing, is_pruned: bool) -> Self {
        Self {
            keys,
            is_pruned,
            head: None,
            anchor: None,
            report: Report::default(),
            link: None,
            file: PathBuf::new(),
            line: 0,
            len: 0,
            segment: None,
            succession: Succession::default(),
        }
    }

    /// The log has to get as far as this.
    pub(super) fn expect(&mut self, head: Head) {
        self.head = Some(head);
    }

    pub(super) fn note_head(&mut self, path: &Path, kind: FindingKind) {
        self.report.note(Finding {
            file: path.to_owned(),
            line: 0,
            sequence: None,
            kind,
        });
    }

    /// Reads one file; `is_last` if no other comes after it.
    pub(super) fn segment(
        &mut self,
        path: &Path,
        mut reader: impl BufRead,
        is_last: bool,
    ) -> io::Result<()> {
        self.file = path.to_owned();
        self.line = 0;
        self.len = 0;
        self.report.files += 1;
        let mut buffer = Vec::with_capacity(1024);
        loop {
            buffer.clear();
            let limit = MAX_LINE as u64 + 1;
            reader.by_ref().take(limit).read_until(b'\n', &mut buffer)?;
            match buffer.strip_suffix(b"\n") {
                Some(line) => {
                    self.line += 1;
                    self.report.lines += 1;
                    self.len += buffer.len() as u64;
                    self.line(line);
                }
                None if buffer.is_empty() => break,
                None if buffer.len() as u64 == limit => {
                    self.line += 1;
                    self.report.lines += 1;
                    self.note(None, FindingKind::Malformed);
                    skip_line(&mut reader, &mut buffer)?;
                }
                None => {
                    self.unfinished(is_last);
                    break;
                }
            }
        }
        if self.line == 0 && !(is_last && self.is_past_head()) {
            self.note(None, FindingKind::Misplaced);
        }
        Ok(())
    }

    /// What is wrong, all in all.
    pub(super) fn finish(mut self, at_least: Option<u64>) -> Report {
        let reached = self.report.last();
        let unseen = self.anchor.map(|anchor| anchor.sequence());
        if unseen.is_some() && reached >= unseen {
            self.report.note(Finding {
                file: self.file.clone(),
                line: 0,
                sequence: unseen,
                kind: FindingKind::AnchorMissing,
            });
        }
        let wanted = self.head.map(|head| head.sequence);
        let wanted = wanted.max(at_least).max(unseen);
        if let Some(until) = wanted.filter(|wanted| reached.is_none_or(|last| last < *wanted)) {
            self.note(reached, FindingKind::Truncated { until });
        }
        self.report
    }

    /// Where a writer goes on: after the last line, in the file read last, which is so long.
    pub(super) fn end(&self) -> Option<(Link, Segment, u64)> {
        Some((self.link?, self.segment?, self.len))
    }

    fn line(&mut self, text: &[u8]) {
        let Some(line) = Line::parse(text) else {
            self.note(None, FindingKind::Malformed);
            return;
        };
        let sequence = Some(line.sequence);
        let segment = Segment::parse(line.payload);
        if segment.is_some() != (self.line == 1) {
            self.note(sequence, FindingKind::Misplaced);
        }
        let next = match self.link {
            Some(link) => link.next,
            None if self.is_pruned => line.sequence,
            None => Link::START.next,
        };
        if line.sequence < next {
            self.note(sequence, FindingKind::Repeated);
            return;
        }
        // What comes after a gap cannot be compared with what came before, unless it names it.
        let named = segment.map(|segment| segment.previous);
        let previous = match self.link {
            Some(link) if line.sequence == next => Some(link.tag),
            None if line.sequence == 0 => Some(Link::START.tag),
            _ => named,
        };
        if line.sequence > next {
            self.note(sequence, FindingKind::Missing { from: next });
        }
        match previous.map(|previous| line.follows(&previous, self.keys)) {
            Some(None) => self.note(sequence, FindingKind::UnknownKey(line.key_version)),
            Some(Some(false)) => self.note(sequence, FindingKind::Altered),
            Some(Some(true)) if self.succession.is_over(line.key_version, self.keys) => {
                self.note(sequence, FindingKind::ReplacedKey(line.key_version));
            }
            Some(Some(true)) => self.succession.go_on(line.key_version),
            None => {}
        }
        if let Some(head) = self.head
            && head.sequence == line.sequence
        {
            if head.tag != line.tag {
                self.note(sequence, FindingKind::HeadMismatch);
            } else if self.succession.is_over(head.key_version, self.keys) {
                // Whoever writes a head has the key of the lines before it, or a later one.
                self.note(sequence, FindingKind::HeadReplacedKey(head.key_version));
            }
        }
        if let Some(anchor) = self
            .anchor
            .take_if(|anchor| anchor.sequence() == line.sequence)
            && *anchor.mac() != line.tag
        {
            self.note(sequence, FindingKind::AnchorMismatch);
        }
        self.report.first.get_or_insert(line.sequence);
        self.report.last = Some(Anchor::new(line.sequence, line.tag));
        self.segment = segment.or(self.segment);
        self.link = Some(Link {
            next: line.sequence.saturating_add(1),
            tag: line.tag,
        });
    }

    /// A writer that was killed leaves half a line, after the last one the head knows of.
    fn unfinished(&mut self, is_last: bool) {
        if is_last && self.is_past_head() {
            self.report.is_being_written = true;
        } else {
            self.line += 1;
            self.note(None, FindingKind::Unfinished);
        }
    }

    fn is_past_head(&self) -> bool {
        let reached = self.report.last();
        self.head.is_some_and(|head| reached >= Some(head.sequence))
    }

    fn note(&mut self, sequence: Option<u64>, kind: FindingKind) {
        self.report.note(Finding {
            file: self.file.clone(),
            line: self.line,
            sequence,
            kind,
        });
    }
}

fn skip_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<()> {
    while !buffer.is_empty() && !buffer.ends_with(b"\n") {
        buffer.clear();
        reader
            .by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', buffer)?;
    }
    Ok(())
}
