//! Runtime identities: issued by the handshake, proven by a token ever after.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use connectrpc::{ConnectError, ErrorCode, RequestContext};
use tower_plugin_auth::{
    StoreError, TokenEvent, TokenStore, Tokens,
    store::{List, SharedStore},
    token::{EXPIRES_AT, KeyRing, TokenId},
};
use tower_plugin_core::{Clock, Principal};

use super::{HostError, options::TokenConfig, own_words::refuse, registry::Owner};

/// Issues and checks the tokens of the plugins; clones share them.
#[derive(Clone)]
pub(super) struct Identities {
    tokens: Tokens<SharedStore>,
    clock: Arc<dyn Clock>,
}

/// The authenticated caller of a service.
pub(super) struct Caller<'a> {
    principal: &'a Principal,
    token_id: TokenId,
    expires_at: SystemTime,
}

/// A token that something goes on for as long as it is valid.
pub(super) struct Session {
    tokens: Tokens<SharedStore>,
    clock: Arc<dyn Clock>,
    token_id: TokenId,
}

impl Identities {
    /// `observe` is told of what happens to the tokens; it must not block.
    pub(super) fn new(
        config: TokenConfig,
        store: SharedStore,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
        observe: impl Fn(&TokenEvent<'_>) + Send + Sync + 'static,
    ) -> Result<Self, HostError> {
        let mut tokens = Tokens::builder(store, keys)
            .with_runtime_ttl(config.ttl)
            .with_overlap(config.overlap)
            .with_clock(Arc::clone(&clock))
            .with_observer(observe);
        if let Some(idle) = config.idle {
            tokens = tokens.with_idle_timeout(idle);
        }
        if let Some(lifetime) = config.lifetime {
            tokens = tokens.with_absolute_lifetime(lifetime);
        }
        let tokens = tokens.build()?;
        Ok(Self { tokens, clock })
    }

    /// The tokens themselves, for the layer that checks them.
    pub(super) fn tokens(&self) -> &Tokens<SharedStore> {
        &self.tokens
    }

    /// What goes on for as long as this caller's token.
    pub(super) fn session(&self, caller: &Caller<'_>) -> Session {
        Session {
            tokens: self.tokens.clone(),
            clock: Arc::clone(&self.clock),
            token_id: caller.token_id,
        }
    }

    /// The same of whom a layer has authenticated; `None` if that was by no token.
    pub(super) fn session_of(&self, principal: &Principal) -> Option<Session> {
        Some(Session {
            tokens: self.tokens.clone(),
            clock: Arc::clone(&self.clock),
            token_id: principal.token_id()?.parse().ok()?,
        })
    }

    /// Whether a plugin has a token that is alive: this one, one that has replaced it, or any other.
    pub(super) async fn is_there(&self, plugin: &Principal) -> Result<bool, StoreError> {
        let id = plugin.token_id().and_then(|id| id.parse().ok());
        if let Some(id) = id
            && self.newest_live(id).await?.is_some()
        {
            return Ok(true);
        }
        let now = self.clock.wall();
        let all = List::of_subject(plugin.kind(), plugin.subject());
        let records = self.tokens.list(&all).await?;
        Ok(records.iter().any(|record| record.is_live(now)))
    }

    /// The newest live token among this one and those that have replaced it one after the other, and
    /// when it expires.
    pub(super) async fn newest_live(
        &self,
        mut id: TokenId,
    ) -> Result<Option<(TokenId, SystemTime)>, StoreError> {
        let now = self.clock.wall();
        let mut newest = None;
        for _ in 0..MAX_SUCCESSORS {
            let Some(record) = self.tokens.store().get(&id).await? else {
                break;
            };
            if record.is_live(now) {
                newest = Some((record.id(), record.expires_at()));
            }
            match record.successor() {
                Some(next) => id = next,
                None => break,
            }
        }
        Ok(newest)
    }
}

impl Session {
    /// Whether it goes on; `None` if nobody can say.
    pub(super) async fn is_live(&self) -> Option<bool> {
        let found = self.tokens.store().get(&self.token_id).await.ok()?;
        Some(found.is_some_and(|record| record.is_live(self.clock.wall())))
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
                // Rounded down, so what a plugin leaves behind never outlives its token.
                let seconds = principal.attribute(EXPIRES_AT)?.parse().ok()?;
                Some(Self {
                    principal,
                    token_id: principal.token_id()?.parse().ok()?,
                    expires_at: UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
                })
            })
            .ok_or_else(|| refuse(ErrorCode::Unauthenticated, "a runtime token is required"))
    }

    pub(super) fn principal(&self) -> &'a Principal {
        self.principal
    }

    pub(super) fn runtime_id(&self) -> &'a str {
        self.principal.subject()
    }

    pub(super) fn owner(&self) -> Owner<'a> {
        Owner {
            runtime_id: self.principal.subject(),
            token_id: self.token_id,
            expires_at: self.expires_at,
        }
    }
}

/// The kind of a plugin's principal.
pub(super) const PLUGIN_KIND: &str = "runtime";
// Between two looks a token is replaced once, or there is something wrong with its owner.
const MAX_SUCCESSORS: usize = 16;
