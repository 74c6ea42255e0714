use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use tower_plugin_core::Clock;

use super::{AuditEvent, AuditSink};
use crate::token::KeyRing;

mod builder;
mod chain;
mod error;
mod json;
mod open;
mod place;
mod queue;
mod run;
mod scan;
mod sealed;
mod verify;
mod writer;

pub use builder::{FileSinkBuilder, OnFull};
pub use error::{FileSinkError, FileSinkErrorKind};
pub use sealed::{InvalidLine, clear};
pub use verify::{Anchor, Finding, FindingKind, InvalidAnchor, Report, Verifier};

use queue::Queue;
use run::Progress;
use writer::Writer;

/// Writes events to a file that tells when somebody has changed it (Unix).
///
/// Each event is a line of JSON. A thread of its own writes them, in batches of at most 100, and after each
/// batch the *head*, a file that says how far the log has come. Up to 1000 events wait for it; what comes
/// while they do is dropped, and the log says how many those were: see [`OnFull`]. Clones share the log;
/// when the last one is dropped, what waits is written first.
///
/// ```json
/// {"seq":1,"key":1,"time":"2030-01-01T00:00:00.000000Z","event":"authz_fail","outcome":"denied",
///  "actor":{"kind":"runtime","subject":"cache-7f3a","token":"0001…"},"action":"GET","resource":"/admin",
///  "reason":"INSUFFICIENT_SCOPE","request_id":"4f6c","client_ip":"192.0.2.1","mac":"…"}
/// ```
///
/// # What is noticed
///
/// `mac` is HMAC-SHA256 over the line, its number and the `mac` of the line before, under a key of the
/// [`KeyRing`]; the first line of a file names the last one of the file before. Whoever does not have the key
/// can change nothing that a [`Verifier`] would not find, and it says where. Whoever has it can write the
/// log anew: keep it where the log is not, and use it for nothing else.
///
/// The head is signed, too, and replaced as a whole. With it a log whose end is missing is found. An attacker
/// who puts back an older copy of *both* is not: [`Verifier`] says what to do about that. The last batch
/// before a crash may be missing, and whatever waited.
///
/// # Files
///
/// The log at `/var/log/app/audit` is in `audit.00000001.jsonl` and so on, beside `audit.head` and
/// `audit.lock`. A file is closed when it has grown to 64 MiB; put away or delete the old ones as you
/// like, from the oldest on. They are their owner's alone (mode 0600), and one that others may read or write, or that
/// is somebody else's, is refused. So is a second process.
///
/// # Failure modes
///
/// A log that was changed since it was written does not [open](FileSinkBuilder::open), and neither does one
/// that is gone while its head is not. Look into it, and move all of its files away to begin anew. While
/// the disk fails, events wait and then are dropped; the writer tries again every second. Nothing of this
/// stops or slows a request, unless you have asked for [`OnFull::Wait`].
///
/// ```
/// use tower_plugin_auth::{
///     audit::{AuditLayer, FileSink},
///     token::{KeyRing, Pepper},
/// };
///
/// # let directory = std::env::temp_dir().join(format!("tower-plugin-doc-audit-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("audit");
/// let keys = KeyRing::new(Pepper::new(1, &[7; 32])?, [])?; // yours come from a secret store
/// let sink = FileSink::builder(&path, keys).open()?;
/// let layer = AuditLayer::new(sink.clone());
/// # drop((layer, sink));
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FileSink(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What has become of the events.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileSinkStats {
    /// How many wait to be written.
    pub waiting: usize,
    /// How many were dropped, as there was no room or the disk failed to the end.
    pub dropped: u64,
    /// How often writing has failed.
    pub failures: u64,
    /// The number of the next line: how many there are since the log was begun, those of the log's own
    /// included.
    pub next: u64,
}

impl FileSink {
    /// Starts from where the log is and the keys it is chained under.
    ///
    /// The keys are for this alone: those of tokens are others. To rotate, make the new key active and keep
    /// the old one for as long as the lines written under it are to be verified. There is no way back: a log that
    /// has lines under a new key does not open under the old one, as whoever has stolen it would want. Take another
    /// new key.
    pub fn builder(path: impl AsRef<Path>, keys: KeyRing) -> FileSinkBuilder {
        FileSinkBuilder::new(path.as_ref(), keys)
    }

    fn start(writer: Writer, capacity: usize, patience: Duration) -> Result<Self, FileSinkError> {
        let queue = Arc::new(Queue::new(capacity, patience));
        let progress = Arc::new(Progress::default());
        progress.next.store(writer.next(), Relaxed);
        let clock = Arc::clone(&writer.settings.clock);
        let path = writer.settings.path.clone();
        let thread = thread::Builder::new().name("audit-log".to_owned()).spawn({
            let (queue, progress) = (Arc::clone(&queue), Arc::clone(&progress));
            move || {
                // However it ends, nobody may wait for it for ever.
                let end = End(&queue);
                run::run(writer, &queue, &progress);
                drop(end);
            }
        });
        let thread = thread.map_err(|error| FileSinkError::io(error, &path))?;
        Ok(Self(Arc::new(Inner {
            queue,
            progress,
            clock,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Waits until all that was recorded before is on disk, for at most so long; whether it is.
    ///
    /// It blocks: call it from a thread that may. It also returns when the disk has failed to the end,
    /// which [`stats`](Self::stats) tell of.
    #[must_use]
    pub fn flush(&self, within: Duration) -> bool {
        self.0.queue.flush(within)
    }

    /// How it is doing.
    #[must_use]
    pub fn stats(&self) -> FileSinkStats {
        let (waiting, dropped) = self.0.queue.counts();
        FileSinkStats {
            waiting,
            dropped,
            failures: self.0.progress.failures.load(Relaxed),
            next: self.0.progress.next.load(Relaxed),
        }
    }
}

impl AuditSink for FileSink {
    fn record(&self, event: &AuditEvent<'_>) {
        let members = json::members(event, self.0.clock.wall());
        self.0.queue.push(members);
    }
}

/// Writes what waits. A disk that hangs is left alone after 10 seconds.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.queue.close(CLOSE_WITHIN)
            && let Some(thread) = self.thread.lock().take()
        {
            // It has ended, by returning or by a panic that has been reported.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

const CLOSE_WITHIN: Duration = Duration::from_secs(10);
/// The longest line that is read; none that is written comes near.
const MAX_LINE: usize = 128 * 1024;

#[cfg(test)]
mod tests;
