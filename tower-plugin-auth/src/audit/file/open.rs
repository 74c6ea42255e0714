//! Goes on with a log where it was left, by whatever.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, Read},
    path::{Path, PathBuf},
};

use super::{
    MAX_LINE,
    chain::{Head, Link},
    error::{FileSinkError, FileSinkErrorKind},
    json, place,
    queue::Batch,
    verify::{self, Finding, FindingKind},
    writer::{Settings, Writer},
};
use crate::{
    audit::{AuditEvent, Outcome, vocabulary::AUDIT_RECOVERED},
    file,
};

/// Opens the log, or makes it if there is nothing of it.
pub(super) fn open(settings: Settings) -> Result<Writer, FileSinkError> {
    let path = &settings.path;
    let lock = file::lock(path).map_err(|denied| FileSinkError::denied(denied, path))?;
    let mut segments = place::segments(path).map_err(|error| FileSinkError::io(error, path))?;
    let Some(text) = place::read_head(&settings.head)? else {
        return without_head(settings, lock, &segments);
    };
    let head = Head::open(&text, &settings.keys).ok_or_else(|| {
        FileSinkError::new(FileSinkErrorKind::Broken(Finding {
            file: settings.head.clone(),
            line: 0,
            sequence: None,
            kind: FindingKind::HeadAltered,
        }))
    })?;
    // What came before was looked at by whoever wrote it; all of it is for a verifier.
    segments.retain(|(number, _)| *number >= head.segment);
    drop_unbegun(&mut segments, head.segment)?;
    if segments
        .first()
        .is_none_or(|(number, _)| *number != head.segment)
    {
        return Err(FileSinkError::at(FileSinkErrorKind::Missing, path));
    }
    resume(settings, lock, head, &segments)
}

/// Nothing of the log, or what is left of one that was not made to the end.
fn without_head(
    settings: Settings,
    lock: File,
    segments: &[(u64, PathBuf)],
) -> Result<Writer, FileSinkError> {
    let is_unborn = match segments {
        [] => true,
        [(1, path)] => lines_of(path)? <= 1,
        _ => false,
    };
    if !is_unborn {
        return Err(FileSinkError::at(
            FileSinkErrorKind::Missing,
            &settings.head,
        ));
    }
    let now = settings.clock.wall();
    Writer::create(settings, lock, now)
}

/// A file of which not even the first line was written is none.
fn drop_unbegun(segments: &mut Vec<(u64, PathBuf)>, of_head: u64) -> Result<(), FileSinkError> {
    if let Some((number, path)) = segments.last()
        && *number == of_head.saturating_add(1)
        && lines_of(path)? == 0
    {
        fs::remove_file(path).map_err(|error| FileSinkError::io(error, path))?;
        segments.pop();
    }
    Ok(())
}

fn resume(
    settings: Settings,
    lock: File,
    head: Head,
    segments: &[(u64, PathBuf)],
) -> Result<Writer, FileSinkError> {
    let scan = verify::from_head(&settings.keys, head, segments)?;
    let end = scan.end();
    let report = scan.finish(None);
    if let Some(finding) = report.findings().first() {
        return Err(FileSinkError::new(FileSinkErrorKind::Broken(
            finding.clone(),
        )));
    }
    let missing = || FileSinkError::at(FileSinkErrorKind::Missing, &settings.path);
    let (link, segment, len) = end.ok_or_else(missing)?;
    let (_, path) = segments.last().ok_or_else(missing)?;
    let mut options = OpenOptions::new();
    let opened = file::open(path, options.append(true));
    let file = opened.map_err(|denied| FileSinkError::denied(denied, path))?;
    let found = file.metadata();
    let found = found.map_err(|error| FileSinkError::io(error, path))?.len();
    let now = settings.clock.wall();
    let mut writer = Writer {
        log: head.log,
        link,
        segment: segment.number,
        // Nobody but its first line knows how old the file is, and that is for people to read.
        opened_at: settings.clock.monotonic_nanos(),
        file,
        len,
        // Half a line, which is nobody's.
        good: (found > len).then_some(len),
        is_head_unsynced: false,
        _lock: lock,
        settings,
    };
    if found > len {
        let cut = (found - len).to_string();
        let details = [("bytes", cut.as_str())];
        let event = AuditEvent::new(AUDIT_RECOVERED, Outcome::Error).with_details(&details);
        writer.write(&Batch {
            events: vec![json::members(&event, now)],
            dropped: 0,
        })?;
    } else if (Link {
        next: head.sequence.wrapping_add(1),
        tag: head.tag,
    }) != link
    {
        writer.catch_up()?;
    }
    writer.settle_head()?;
    Ok(writer)
}

/// As many as matter: none, one, or more.
fn lines_of(path: &Path) -> Result<usize, FileSinkError> {
    let reader = place::read_segment(path)?;
    let mut lines = 0;
    let mut start = reader.take(2 * MAX_LINE as u64);
    let mut line = Vec::new();
    while lines < 2 {
        line.clear();
        let read = start.read_until(b'\n', &mut line);
        read.map_err(|error| FileSinkError::io(error, path))?;
        if !line.ends_with(b"\n") {
            break;
        }
        lines += 1;
    }
    Ok(lines)
}
