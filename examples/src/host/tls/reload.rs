use std::time::Duration;

use parking_lot::Mutex;
use tokio::{task::AbortHandle, time};

use super::{Tls, TlsError, files::Files};

/// Looks for changed files until this is dropped.
#[derive(Debug)]
pub struct Reloading(AbortHandle);

impl Tls {
    /// Looks for changed files every so often. In a Tokio runtime.
    #[must_use]
    pub fn reload_every(&self, interval: Duration) -> Reloading {
        let tls = self.clone();
        let looking = tokio::spawn(async move {
            loop {
                time::sleep(interval).await;
                tls.reload_and_tell().await;
            }
        });
        Reloading(looking.abort_handle())
    }

    /// [Reloads](Self::reload), and says in the log what came of it.
    pub async fn reload_and_tell(&self) {
        match self.reload().await {
            Ok(true) => tracing::info!("new TLS certificate in use"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "the new TLS files are no good: the old ones stay in use");
            }
        }
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What was found the last time, so that nothing is done and nothing said twice.
#[derive(Debug)]
pub(super) struct Seen(Mutex<Last>);

#[derive(Debug, Eq, PartialEq)]
enum Last {
    Files([u8; 32]),
    Unreadable(String),
}

impl Seen {
    pub(super) fn new(digest: [u8; 32]) -> Self {
        Self(Mutex::new(Last::Files(digest)))
    }

    /// Does something with what is found if it is new; whether it was.
    pub(super) fn change(
        &self,
        find: impl FnOnce() -> Result<Files, TlsError>,
        act: impl FnOnce(&Files) -> Result<(), TlsError>,
    ) -> Result<bool, TlsError> {
        // Held while it looks and acts: of two who find different files, nobody overtakes the later.
        let mut last = self.0.lock();
        let (now, found) = match find() {
            Ok(files) => (Last::Files(files.digest()), Ok(files)),
            Err(error) => (Last::Unreadable(error.to_string()), Err(error)),
        };
        if *last == now {
            return Ok(false);
        }
        *last = now;
        act(&found?)?;
        Ok(true)
    }
}
