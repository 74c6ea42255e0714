//! One managed plugin, from its first answer to its last.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, SystemTime},
};

use connectrpc::client::ClientTransport;
use http_body::Body;
use tokio::{sync::watch, time};
use tower_plugin_auth::{
    Issued, NewToken, RotateError,
    admission::{ADMITTED_BY, Suspect},
    token::{SelfId, TokenId},
};

use super::{remote::Remote, trouble::Trouble};
use crate::host::{
    HostState,
    identity::PLUGIN_KIND,
    registry::{Health, Owner},
};

pub(super) struct Life<T> {
    pub(super) host: Arc<HostState>,
    /// What the operator calls it, and it has to call itself.
    pub(super) name: SelfId,
    pub(super) remote: Remote<T>,
    pub(super) host_url: Arc<str>,
    /// What it is given to finish what it has in hand.
    pub(super) grace: Duration,
}

/// The token it has.
struct Held {
    runtime_id: Box<str>,
    token_id: TokenId,
    expires_at: SystemTime,
    renew_at: SystemTime,
}

impl<T> Life<T>
where
    T: ClientTransport + Clone,
    <T::ResponseBody as Body>::Error: Display,
{
    /// Gives it an identity, again after each trouble, until the host ends.
    pub(super) async fn live(self, mut ending: watch::Receiver<()>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(introduced) = until(&mut ending, self.introduce()).await else {
                return;
            };
            // Not broken off: nobody would know of the token.
            let issued = match introduced {
                Ok(()) => self.issue().await,
                Err(trouble) => Err(trouble),
            };
            let trouble = match issued {
                Ok(issued) => {
                    let trouble = until(&mut ending, self.keep(&issued, &mut pause)).await;
                    if trouble.is_none() {
                        self.shut_down().await;
                    }
                    self.revoke(issued.principal().subject()).await;
                    trouble
                }
                Err(trouble) => Some(trouble),
            };
            let Some(trouble) = trouble else { return };
            tracing::warn!(plugin = %self.name, %trouble, "a managed plugin is not at work; trying again");
            if until(&mut ending, time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn introduce(&self) -> Result<(), Trouble> {
        match self.remote.name().await? == self.name {
            true => Ok(()),
            false => Err(Trouble::Name),
        }
    }

    async fn issue(&self) -> Result<Issued, Trouble> {
        let suspect = Suspect::Plugin(self.name.clone());
        if self.host.admission.is_quarantined(&suspect) {
            return Err(Trouble::Quarantined);
        }
        let new = NewToken::runtime(&self.name).with_attribute(ADMITTED_BY, "operator");
        let issued = self.host.identities.tokens().issue(new).await;
        let issued = issued.map_err(|error| {
            tracing::error!(%error, "no token for a managed plugin");
            Trouble::NoToken
        })?;
        // Whoever put it there has looked for its tokens, and may have come too early for this one.
        if self.host.admission.is_quarantined(&suspect) {
            self.revoke(issued.principal().subject()).await;
            return Err(Trouble::Quarantined);
        }
        Ok(issued)
    }

    /// Looks after it for as long as all is well; what was not.
    async fn keep(&self, issued: &Issued, pause: &mut Duration) -> Trouble {
        let mut held = self.held(issued);
        if let Err(trouble) = self.settle(issued, &held).await {
            return trouble;
        }
        *pause = FIRST_PAUSE;
        tracing::info!(runtime_id = held.runtime_id, "a managed plugin is at work");
        let mut misses = 0;
        loop {
            time::sleep(LOOK).await;
            if let Err(trouble) = self.renew(&mut held).await {
                return trouble;
            }
            match self.look(&held).await {
                Ok(_) => misses = 0,
                Err(trouble) if misses + 1 == MISSES => return trouble,
                Err(_) => misses += 1,
            }
        }
    }

    /// Hands over the identity, and waits until it is well.
    async fn settle(&self, issued: &Issued, held: &Held) -> Result<(), Trouble> {
        self.remote.set_identity(issued, &self.host_url).await?;
        let healthy = async {
            loop {
                // It may tell the host, or wait to be asked.
                let asked = self.look(held).await;
                let told = self.host.directory.health(&held.runtime_id);
                if [asked.ok().flatten(), told].contains(&Some(Health::Healthy)) {
                    return;
                }
                time::sleep(POLL).await;
            }
        };
        let in_time = time::timeout(UNTIL_HEALTHY, healthy).await;
        in_time.map_err(|_| Trouble::Unwell)
    }

    /// Asks how it is, and lets the registry know.
    async fn look(&self, held: &Held) -> Result<Option<Health>, Trouble> {
        let health = self.remote.health().await?;
        if let Some(health) = health {
            let owner = Owner {
                runtime_id: &held.runtime_id,
                token_id: held.token_id,
                expires_at: held.expires_at,
            };
            if let Err(refusal) = self.host.directory.report_health(owner, health) {
                tracing::warn!(%refusal, "the health of a managed plugin is not kept");
            }
        }
        Ok(health)
    }

    /// Sees whether it still has a token, and replaces that when three quarters of its time are over.
    async fn renew(&self, held: &mut Held) -> Result<(), Trouble> {
        let identities = &self.host.identities;
        match identities.newest_live(held.token_id).await {
            // It may have replaced it itself.
            Ok(Some((token_id, expires_at))) if token_id != held.token_id => {
                *held = self.held_until(&held.runtime_id, token_id, expires_at);
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(Trouble::Ended),
            Err(error) => {
                tracing::warn!(%error, "the token of a managed plugin could not be looked up");
                return Ok(());
            }
        }
        if self.host.clock.wall() < held.renew_at {
            return Ok(());
        }
        match identities.tokens().rotate(&held.token_id).await {
            Ok(successor) => {
                self.remote.set_identity(&successor, &self.host_url).await?;
                *held = self.held(&successor);
                Ok(())
            }
            // By itself, and just now.
            Err(RotateError::AlreadyRotated) => Ok(()),
            Err(RotateError::NotLive) => Err(Trouble::Ended),
            Err(error) => {
                tracing::warn!(%error, "the token of a managed plugin could not be replaced");
                Ok(())
            }
        }
    }

    async fn shut_down(&self) {
        match self.remote.shut_down(self.grace).await {
            Ok(()) => tracing::info!(plugin = %self.name, "a managed plugin was told to end"),
            Err(trouble) => {
                tracing::warn!(plugin = %self.name, %trouble, "a managed plugin could not be told to end");
            }
        }
    }

    async fn revoke(&self, runtime_id: &str) {
        let tokens = self.host.identities.tokens();
        if let Err(error) = tokens.revoke_subject(PLUGIN_KIND, runtime_id).await {
            tracing::warn!(%error, runtime_id, "the token of a managed plugin was not revoked");
        }
    }

    fn held(&self, issued: &Issued) -> Held {
        let runtime_id = issued.principal().subject();
        self.held_until(runtime_id, issued.token().id(), issued.expires_at())
    }

    fn held_until(&self, runtime_id: &str, token_id: TokenId, expires_at: SystemTime) -> Held {
        let now = self.host.clock.wall();
        let left = expires_at.duration_since(now).unwrap_or_default();
        Held {
            runtime_id: runtime_id.into(),
            token_id,
            expires_at,
            renew_at: expires_at.checked_sub(left / 4).unwrap_or(now),
        }
    }
}

/// What comes of it, or `None` if the host ends first.
async fn until<R>(ending: &mut watch::Receiver<()>, work: impl Future<Output = R>) -> Option<R> {
    tokio::select! {
        biased;
        _ = ending.changed() => None,
        done = work => Some(done),
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long it may take to be well, and how often it is asked meanwhile.
const UNTIL_HEALTHY: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);
/// How often it is asked from then on, and how often it may fail to answer.
const LOOK: Duration = Duration::from_secs(10);
const MISSES: u32 = 3;
