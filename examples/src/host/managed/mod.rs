//! Plugins that wait for the host: it calls them first, gives each its identity, sees how it is, and tells it to end.
//!
//! Who is named by `--managed` is admitted by that: neither a secret nor a manifest is asked for, and the token goes to
//! an address of this machine's loopback alone. Quarantine keeps it out all the same. Starting its process is the
//! operator's business.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use connectrpc::client::HttpClient;
use tokio::{sync::watch, task::JoinSet, time};

use super::{HostState, banner};

mod life;
mod remote;
#[cfg(test)]
mod tests;
mod trouble;

use life::Life;
use remote::Remote;

/// The managed plugins of a host. Dropped, it leaves them alone at once, and their tokens to expire.
#[must_use]
pub struct Managed {
    lives: JoinSet<()>,
    end: watch::Sender<()>,
}

impl Managed {
    /// Begins to call the plugins that the configuration names, each on its own, and again and again until it answers.
    ///
    /// They are told the host's `--public-url`, or else that it listens on `address`. At the end they get `grace` to finish what they
    /// have in hand. In a Tokio runtime.
    pub fn start(state: &Arc<HostState>, address: SocketAddr, tls: bool, grace: Duration) -> Self {
        let host_url: Arc<str> = match state.grants.public_url() {
            Some(url) => url.into(),
            None => banner::url(address, tls).into(),
        };
        let (end, ending) = watch::channel(());
        let mut lives = JoinSet::new();
        for plugin in &state.managed {
            let life = Life {
                host: Arc::clone(state),
                name: plugin.name.clone(),
                remote: Remote::new(HttpClient::plaintext(), plugin.address.clone()),
                host_url: Arc::clone(&host_url),
                grace,
            };
            lives.spawn(life.live(ending.clone()));
        }
        Self { lives, end }
    }

    /// Tells every plugin to end and takes its token away. It waits for their answers, not for their ends, and 10
    /// seconds at most.
    pub async fn shut_down(mut self) {
        // Fails if there are none.
        let _nobody = self.end.send(());
        let all = async { while self.lives.join_next().await.is_some() {} };
        if time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("not every managed plugin could be told to end");
        }
    }
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed")
            .field("plugins", &self.lives.len())
            .finish_non_exhaustive()
    }
}

const LAST_WORDS: Duration = Duration::from_secs(10);
