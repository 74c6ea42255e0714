//! The thread that writes.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{queue::Queue, writer::Writer};

/// What others may know of the writer.
#[derive(Default)]
pub(super) struct Progress {
    /// The number of the next line.
    pub(super) next: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// Writes until the queue is closed and empty.
pub(super) fn run(mut writer: Writer, queue: &Queue, progress: &Progress) {
    while let Some(mut batch) = queue.take(writer.settings.batch) {
        let (mut is_last_attempt, mut is_down) = (false, false);
        loop {
            let written = match is_down {
                true => Ok(()),
                false => writer.write(&batch),
            };
            is_down = written.is_ok();
            // Before whoever waits for it is told.
            progress.next.store(writer.next(), Relaxed);
            match written.and_then(|()| writer.settle_head()) {
                Ok(()) => {
                    queue.written(batch.events.len());
                    break;
                }
                Err(error) => {
                    progress.failures.fetch_add(1, Relaxed);
                    tracing::error!(%error, "audit log could not be written; events wait");
                    if is_last_attempt {
                        match is_down {
                            true => queue.written(batch.events.len()),
                            false => queue.lost(&batch),
                        }
                        break;
                    }
                    is_last_attempt = queue.pause(RETRY_AFTER);
                }
            }
        }
        batch.events.clear();
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(1);
