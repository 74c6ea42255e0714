//! The end of a log: what is written to, and how.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_plugin_core::Clock;

use super::{
    chain::{Head, Link, Segment},
    error::FileSinkError,
    json, place,
    queue::Batch,
    sealed,
};
use crate::{
    audit::{AuditEvent, Outcome, vocabulary::AUDIT_DROPPED},
    file::{self, FileKeyRing},
    token::{KeyRing, Rng},
};

/// What a log is written with.
pub(super) struct Settings {
    pub(super) path: PathBuf,
    pub(super) head: PathBuf,
    pub(super) keys: KeyRing,
    pub(super) cipher: Option<FileKeyRing>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) batch: usize,
    pub(super) sync: bool,
    pub(super) max_len: u64,
    pub(super) max_age: Option<Duration>,
    /// Of the head; tests let it fail.
    pub(super) sync_parent: fn(&Path) -> io::Result<()>,
}

/// The end of a log.
pub(super) struct Writer {
    pub(super) settings: Settings,
    pub(super) log: [u8; 16],
    pub(super) link: Link,
    pub(super) segment: u64,
    /// By the monotonic clock: a file is as old as it is, whatever the wall clock is set to.
    pub(super) opened_at: u64,
    pub(super) file: File,
    pub(super) len: u64,
    /// How long the file was before an attempt to write failed, and so what to cut it back to.
    pub(super) good: Option<u64>,
    /// Whether the head is where it belongs, and may not be after the machine has stopped.
    pub(super) is_head_unsynced: bool,
    /// Released when it is closed, whatever ends the process.
    pub(super) _lock: File,
}

impl Writer {
    /// All of it, or nothing that counts: it may be tried again. Then the head is to be [settled](Self::settle_head).
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), FileSinkError> {
        self.cut()?;
        let now = self.settings.clock.wall();
        if self.is_full() {
            self.rotate(now)?;
        }
        let mut payloads: Vec<&[u8]> = batch.events.iter().map(String::as_bytes).collect();
        let dropped = (batch.dropped > 0).then(|| dropped(batch.dropped, now));
        payloads.extend(dropped.as_ref().map(String::as_bytes));
        let (link, lines) = self.lines(&payloads)?;
        self.append(&lines, link)
    }

    fn lines(&self, payloads: &[&[u8]]) -> Result<(Link, Vec<u8>), FileSinkError> {
        let mut link = self.link;
        let len: usize = payloads
            .iter()
            .map(|payload| payload.len() + ENVELOPE)
            .sum();
        let key = self.settings.keys.active_key();
        let Some(cipher) = &self.settings.cipher else {
            let mut lines = Vec::with_capacity(len);
            for payload in payloads {
                link.append(&mut lines, key, payload);
            }
            return Ok((link, lines));
        };
        let mut lines = Vec::with_capacity(len / 3 * 4);
        let nonces = sealed::nonces(&*self.settings.rng, payloads.len())?;
        for (payload, nonce) in payloads.iter().zip(nonces) {
            let payload = sealed::seal(cipher, nonce, link.next, payload)?;
            link.append(&mut lines, key, &payload);
        }
        Ok((link, lines))
    }

    /// Takes away what an attempt that failed has left. Before anything else: in a file that another one
    /// follows it would stay for ever, and be taken for the work of somebody.
    fn cut(&mut self) -> Result<(), FileSinkError> {
        let Some(good) = self.good else {
            return Ok(());
        };
        let cut = self.file.set_len(good).and_then(|()| self.sync());
        cut.map_err(|error| {
            let path = place::segment(&self.settings.path, self.segment);
            FileSinkError::io(error, &path)
        })?;
        self.good = None;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.settings.sync {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }

    fn append(&mut self, lines: &[u8], link: Link) -> Result<(), FileSinkError> {
        let path = place::segment(&self.settings.path, self.segment);
        let written = (|| {
            // Asked, not remembered: what others have written to it stays, for all to see.
            self.good = Some(self.file.metadata()?.len());
            self.file.write_all(lines)?;
            self.sync()
        })();
        written.map_err(|error| FileSinkError::io(error, &path))?;
        self.write_head(self.segment, link)?;
        self.len += lines.len() as u64;
        self.link = link;
        self.good = None;
        Ok(())
    }

    /// Afterwards: ahead of its log it would call a crash a crime. For the same reason nothing that it names may be
    /// taken back: after an error the old one is there, and if the new one is, what is left is to
    /// [settle](Self::settle_head) it.
    fn write_head(&mut self, segment: u64, link: Link) -> Result<(), FileSinkError> {
        let Settings {
            head, keys, sync, ..
        } = &self.settings;
        let text = Head {
            log: self.log,
            segment,
            sequence: link.next.wrapping_sub(1),
            tag: link.tag,
            key_version: keys.active(),
        };
        file::swap(head, &text.write(keys.active_key()), *sync)
            .map_err(|error| FileSinkError::io(error, head))?;
        self.is_head_unsynced = *sync;
        Ok(())
    }

    /// Lets the head be there after the machine has stopped, too. It may be tried again.
    pub(super) fn settle_head(&mut self) -> Result<(), FileSinkError> {
        if self.is_head_unsynced {
            let head = &self.settings.head;
            let synced = (self.settings.sync_parent)(head);
            synced.map_err(|error| FileSinkError::io(error, head))?;
            self.is_head_unsynced = false;
        }
        Ok(())
    }

    /// The head names the last line, which a writer that was killed has written and not named.
    pub(super) fn catch_up(&mut self) -> Result<(), FileSinkError> {
        self.write_head(self.segment, self.link)
    }

    /// The number of the next line.
    pub(super) fn next(&self) -> u64 {
        self.link.next
    }

    fn is_full(&self) -> bool {
        let now = self.settings.clock.monotonic_nanos();
        let age = Duration::from_nanos(now.saturating_sub(self.opened_at));
        let is_old = self.settings.max_age.is_some_and(|max| age >= max);
        self.len >= self.settings.max_len || is_old
    }

    fn rotate(&mut self, now: SystemTime) -> Result<(), FileSinkError> {
        let number = self.segment.saturating_add(1);
        let (file, len, link) = begin(&self.settings, self.log, number, self.link, now)?;
        self.write_head(number, link)?;
        self.segment = number;
        self.opened_at = self.settings.clock.monotonic_nanos();
        self.file = file;
        self.len = len;
        self.good = None;
        self.link = link;
        Ok(())
    }

    pub(super) fn create(
        settings: Settings,
        lock: File,
        now: SystemTime,
    ) -> Result<Self, FileSinkError> {
        let mut log = [0; 16];
        settings.rng.fill(&mut log)?;
        let (file, len, link) = begin(&settings, log, 1, Link::START, now)?;
        let mut writer = Self {
            opened_at: settings.clock.monotonic_nanos(),
            settings,
            log,
            link,
            segment: 1,
            file,
            len,
            good: None,
            is_head_unsynced: false,
            _lock: lock,
        };
        writer.write_head(1, link)?;
        writer.settle_head()?;
        Ok(writer)
    }
}

/// Makes a file whose first line names the last one of the file before.
fn begin(
    settings: &Settings,
    log: [u8; 16],
    number: u64,
    mut link: Link,
    now: SystemTime,
) -> Result<(File, u64, Link), FileSinkError> {
    let path = place::segment(&settings.path, number);
    let segment = Segment {
        number,
        log,
        previous: link.tag,
    };
    let mut time = String::new();
    json::timestamp(&mut time, now);
    let mut line = Vec::new();
    let payload = segment.payload(&time);
    link.append(&mut line, settings.keys.active_key(), &payload);

    // What an attempt that failed has left: no head has ever named it.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(FileSinkError::io(error, &path));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    let opened = file::open(&path, options.append(true).create_new(true));
    let mut file = opened.map_err(|denied| FileSinkError::denied(denied, &path))?;
    let written = file.write_all(&line).and_then(|()| match settings.sync {
        true => file.sync_all().and_then(|()| file::sync_parent(&path)),
        false => Ok(()),
    });
    written.map_err(|error| FileSinkError::io(error, &path))?;
    Ok((file, line.len() as u64, link))
}

fn dropped(count: u64, now: SystemTime) -> String {
    let count = count.to_string();
    let details = [("count", count.as_str())];
    let event = AuditEvent::new(AUDIT_DROPPED, Outcome::Error).with_details(&details);
    json::members(&event, now)
}

/// What a line has beside its payload, at most.
const ENVELOPE: usize = 128;
