use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tower_plugin_core::{Clock, SystemClock};

use super::{FileSink, error::FileSinkError, open::open, place, writer::Settings};
use crate::{
    config::InvalidConfig,
    file::{FileKeyRing, sync_parent},
    random::SystemRng,
    token::{KeyRing, Rng},
};

/// Settings of a [`FileSink`], checked by [`open`](Self::open).
#[must_use]
pub struct FileSinkBuilder {
    pub(super) settings: Settings,
    capacity: usize,
    on_full: OnFull,
}

/// What becomes of an event while so many wait that there is no room.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnFull {
    /// It is dropped at once. The log says how many were, as soon as there is room.
    #[default]
    Drop,
    /// Whoever records it waits for at most so long, and then it is dropped. At most 10 seconds.
    ///
    /// Events come on the threads of an async runtime, and such a thread does nothing else meanwhile:
    /// keep it to milliseconds there.
    Wait(Duration),
}

impl FileSinkBuilder {
    pub(super) fn new(path: &Path, keys: KeyRing) -> Self {
        Self {
            settings: Settings {
                path: path.to_owned(),
                head: place::head(path),
                keys,
                cipher: None,
                rng: Arc::new(SystemRng),
                clock: Arc::new(SystemClock::new()),
                batch: 100,
                sync: true,
                max_len: 64 << 20,
                max_age: None,
                sync_parent,
            },
            capacity: 1_000,
            on_full: OnFull::Drop,
        }
    }

    /// Encrypts what lines say with AES-256-GCM under this ring; their numbers, keys and MACs stay in clear.
    pub fn with_cipher(mut self, keys: FileKeyRing) -> Self {
        self.settings.cipher = Some(keys);
        self
    }

    /// Where the head is: beside the log by default. Best on another disk, or where who can write the
    /// log cannot.
    pub fn with_head(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.head = path.into();
        self
    }

    /// How many events may wait: 1000 by default, at most 100,000. An event takes some 300 bytes, and at most
    /// 40 KiB.
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// How many are written at once, at most: 100 by default, at most 10,000.
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.settings.batch = batch;
        self
    }

    /// Whether each batch is on disk before the next one is taken: yes by default. Otherwise the operating system
    /// decides when; then a crash of the *machine* may lose more than a batch, and may leave a head that is
    /// ahead of its log, which does not open.
    pub fn with_sync(mut self, sync: bool) -> Self {
        self.settings.sync = sync;
        self
    }

    /// What becomes of an event for which there is no room.
    pub fn with_on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// How long a file becomes before the next one is begun, by at most a batch: 64 MiB by default, 4 KiB to 16 GiB.
    /// As much is read when the log is opened.
    pub fn with_max_file_len(mut self, bytes: u64) -> Self {
        self.settings.max_len = bytes;
        self
    }

    /// How old a file becomes before the next one is begun, with the first event after that; any age by default, at
    /// least a second. It is counted from when the file was begun or opened again, by the monotonic clock.
    pub fn with_max_file_age(mut self, age: Duration) -> Self {
        self.settings.max_age = Some(age);
        self
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](tower_plugin_core::ManualClock).
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Where nonces get their randomness, instead of the operating system.
    pub fn with_rng(mut self, rng: impl Rng + 'static) -> Self {
        self.settings.rng = Arc::new(rng);
        self
    }

    /// Opens the log, and begins one where there is nothing of it: neither a file nor a head. It blocks on
    /// the disk: call it before serving.
    ///
    /// The files the head speaks of are verified; older ones are not. What a writer that was killed has left is
    /// taken up: whole lines stay, half a line is cut off, and an event `audit_recovered` says so.
    ///
    /// # Errors
    ///
    /// [`FileSinkError`] if a setting is outside its range, others may read or write a file, another process is
    /// writing, or the log is not what was written.
    pub fn open(self) -> Result<FileSink, FileSinkError> {
        let settings = &self.settings;
        let patience = match self.on_full {
            OnFull::Drop => Duration::ZERO,
            OnFull::Wait(patience) => patience,
        };
        let checks = [
            (
                (1..=100_000).contains(&self.capacity),
                InvalidConfig::new("capacity", "between 1 and 100,000"),
            ),
            (
                (1..=10_000).contains(&settings.batch),
                InvalidConfig::new("batch", "between 1 and 10,000"),
            ),
            (
                patience <= Duration::from_secs(10),
                InvalidConfig::new("on_full", "a wait of at most 10 seconds"),
            ),
            (
                (4 << 10..=16 << 30).contains(&settings.max_len),
                InvalidConfig::new("max_file_len", "between 4 KiB and 16 GiB"),
            ),
            (
                settings
                    .max_age
                    .is_none_or(|age| age >= Duration::from_secs(1)),
                InvalidConfig::new("max_file_age", "at least 1 second"),
            ),
            (
                settings
                    .path
                    .file_name()
                    .is_some_and(|name| name.to_str().is_some()),
                InvalidConfig::new("path", "one that ends in a name of UTF-8"),
            ),
        ];
        if let Some((_, invalid)) = checks.into_iter().find(|(holds, _)| !holds) {
            return Err(invalid.into());
        }
        FileSink::start(open(self.settings)?, self.capacity, patience)
    }
}

impl fmt::Debug for FileSinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        f.debug_struct("FileSinkBuilder")
            .field("path", &settings.path)
            .field("head", &settings.head)
            .field("is_encrypted", &settings.cipher.is_some())
            .field("capacity", &self.capacity)
            .field("batch", &settings.batch)
            .field("sync", &settings.sync)
            .field("on_full", &self.on_full)
            .field("max_len", &settings.max_len)
            .field("max_age", &settings.max_age)
            .finish_non_exhaustive()
    }
}
