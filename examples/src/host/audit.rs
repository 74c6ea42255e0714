//! What somebody may have to account for: in a file that tells when it was changed, and the last of it in
//! memory for the administration.

use std::{
    collections::VecDeque,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tower_plugin_auth::audit::{AuditEvent, AuditSink, FileSink, FileSinkError, Report, Verifier};
use tower_plugin_core::Clock;

use super::{
    HostError,
    options::{AuditConfig, Keys},
};

/// The log, and the last events of it.
pub(super) struct AuditLog {
    sink: FileSink,
    path: PathBuf,
    keys: Keys,
    clock: Arc<dyn Clock>,
    recent: Mutex<VecDeque<Value>>,
    // Whoever verifies reads all of it: one at a time.
    verifying: Semaphore,
}

impl AuditLog {
    /// Opens the log, and begins one where there is none. It blocks on the disk.
    pub(super) fn open(config: AuditConfig, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        let keys = config.keys.ring().ok_or(HostError::Keys)?;
        let sink = FileSink::builder(&config.path, keys)
            .with_clock(Arc::clone(&clock))
            .open()
            .map_err(HostError::Audit)?;
        Ok(Self {
            sink,
            path: config.path,
            keys: config.keys,
            clock,
            recent: Mutex::default(),
            verifying: Semaphore::new(1),
        })
    }

    /// Waits until all that was recorded is on disk; whether it is. It blocks.
    pub(super) fn flush(&self) -> bool {
        self.sink.flush(FLUSH_WITHIN)
    }

    /// The last events, the latest first.
    pub(super) fn recent(&self) -> Value {
        self.recent.lock().iter().rev().cloned().collect()
    }

    /// How the log is doing.
    pub(super) fn figures(&self) -> Value {
        let stats = self.sink.stats();
        json!({
            "lines": stats.next.saturating_sub(1),
            "waiting": stats.waiting,
            "dropped": stats.dropped,
            "failures": stats.failures,
        })
    }

    /// Reads the log as it is on disk and looks for changes; `None` if somebody else is at it.
    pub(super) async fn verify(self: Arc<Self>) -> Option<Result<Report, FileSinkError>> {
        let log = Arc::clone(&self);
        let _only = self.verifying.try_acquire().ok()?;
        let verified = tokio::task::spawn_blocking(move || {
            let flushed = log.flush();
            tracing::debug!(flushed, "the audit log is verified");
            let keys = log.keys.ring()?;
            // Older files may have been put away.
            Some(Verifier::new(&keys).with_pruned().log(&log.path))
        });
        verified.await.ok().flatten()
    }

    fn note(&self, event: &AuditEvent<'_>) {
        let mut recent = self.recent.lock();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(shown(event, self.clock.wall()));
    }
}

impl AuditSink for AuditLog {
    fn record(&self, event: &AuditEvent<'_>) {
        self.note(event);
        self.sink.record(event);
    }
}

fn shown(event: &AuditEvent<'_>, now: SystemTime) -> Value {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut shown = Map::new();
    shown.insert("time".to_owned(), seconds.into());
    let actor = event.actor().map(|party| party.subject().to_owned());
    let subject = event.subject().map(|party| party.subject().to_owned());
    let ip = event.client_ip().map(|ip| ip.to_string());
    for (name, value) in [
        ("event", Some(event.name())),
        ("outcome", Some(event.outcome().as_str())),
        ("actor", actor.as_deref()),
        ("subject", subject.as_deref()),
        ("action", event.action()),
        ("resource", event.resource()),
        ("reason", event.reason()),
        ("request_id", event.request_id()),
        ("client_ip", ip.as_deref()),
    ] {
        shown.insert(name.to_owned(), value.unwrap_or_default().into());
    }
    Value::Object(shown)
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

const FLUSH_WITHIN: Duration = Duration::from_secs(5);
/// Events in memory, of at most some 40 KiB each and commonly 500 bytes.
const RECENT: usize = 50;
