//! Runtime identities: issued by the handshake, proven by a token ever after.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use connectrpc::{ConnectError, ErrorCode, RequestContext};
use tower_plugin_auth::{
    IssueError, MemoryStore, NewToken, SystemRng, Tokens,
    token::{EXPIRES_AT, KeyRing, SelfId},
};
use tower_plugin_core::{Clock, Principal};

use super::{HostError, options::TokenConfig, own_words::refuse, registry::Owner};

/// Issues and checks the tokens of the plugins; clones share them.
#[derive(Clone)]
pub(super) struct Identities {
    tokens: Tokens<MemoryStore>,
}

/// Who a plugin is from now on.
pub(super) struct Identity {
    pub(super) runtime_id: String,
    /// Secret.
    pub(super) token: String,
}

/// The authenticated caller of a service.
pub(super) struct Caller<'a> {
    principal: &'a Principal,
    expires_at: SystemTime,
}

impl Identities {
    pub(super) fn new(config: TokenConfig, clock: Arc<dyn Clock>) -> Result<Self, HostError> {
        let keys = KeyRing::random(&SystemRng)?;
        let mut tokens = Tokens::builder(MemoryStore::new(config.capacity)?, keys)
            .with_runtime_ttl(config.ttl)
            .with_overlap(config.overlap)
            .with_clock(clock);
        if let Some(idle) = config.idle {
            tokens = tokens.with_idle_timeout(idle);
        }
        if let Some(lifetime) = config.lifetime {
            tokens = tokens.with_absolute_lifetime(lifetime);
        }
        let tokens = tokens.build()?;
        Ok(Self { tokens })
    }

    /// The tokens themselves, for the layer that checks them.
    pub(super) fn tokens(&self) -> &Tokens<MemoryStore> {
        &self.tokens
    }

    pub(super) async fn issue(&self, self_id: &SelfId) -> Result<Identity, ConnectError> {
        let new = NewToken::runtime(self_id);
        let issued = self.tokens.issue(new).await.map_err(|error| {
            tracing::error!(%error, "no token could be issued");
            match error {
                IssueError::Full => {
                    refuse(ErrorCode::ResourceExhausted, "no room for another plugin")
                }
                IssueError::Unavailable(_) => {
                    refuse(ErrorCode::Unavailable, "the identity could not be recorded")
                }
                _ => refuse(ErrorCode::Internal, "no identity could be issued"),
            }
        })?;
        Ok(Identity {
            runtime_id: issued.principal().subject().to_owned(),
            token: issued.token().expose().to_owned(),
        })
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl<'a> Caller<'a> {
    /// The caller the layers in front have authenticated.
    ///
    /// # Errors
    ///
    /// Unauthenticated if there is none: a service mounted without those layers stays closed.
    pub(super) fn of(context: &'a RequestContext) -> Result<Self, ConnectError> {
        context
            .extensions()
            .get::<Principal>()
            .filter(|principal| principal.kind() == PLUGIN_KIND)
            .and_then(|principal| {
                // Rounded down, so what a plugin leaves behind never outlives its token; that of a
                // successor comes with its first call.
                let seconds = principal.attribute(EXPIRES_AT)?.parse().ok()?;
                Some(Self {
                    principal,
                    expires_at: UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
                })
            })
            .ok_or_else(|| refuse(ErrorCode::Unauthenticated, "a runtime token is required"))
    }

    pub(super) fn runtime_id(&self) -> &'a str {
        self.principal.subject()
    }

    pub(super) fn owner(&self) -> Owner<'a> {
        Owner {
            runtime_id: self.principal.subject(),
            expires_at: self.expires_at,
        }
    }
}

/// The kind of a plugin's principal.
pub(super) const PLUGIN_KIND: &str = "runtime";
