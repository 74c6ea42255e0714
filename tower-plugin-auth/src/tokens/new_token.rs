use std::{borrow::Cow, time::Duration};

use tower_plugin_core::Principal;

use crate::token::{SelfId, TokenId, TokenKind};

/// A token to be issued: what for, to whom, for how long.
#[derive(Clone, Debug)]
#[must_use]
pub struct NewToken {
    kind: TokenKind,
    owner: Owner,
    ttl: Option<Duration>,
    idle_timeout: Option<Duration>,
}

impl NewToken {
    /// A runtime token for a new run of the plugin that calls itself `name`.
    ///
    /// Its principal has the kind `runtime`, a fresh [runtime id](SelfId::runtime_id) as subject and
    /// the name as attribute `self_id`.
    pub fn runtime(name: &SelfId) -> Self {
        Self {
            kind: TokenKind::Runtime,
            owner: Owner::Runtime {
                name: name.clone(),
                attributes: Vec::new(),
            },
            ttl: None,
            idle_timeout: None,
        }
    }

    /// A token for whom your service knows by name: a user, a customer's account, another service.
    ///
    /// It is of the kind that a [`BearerAuthenticator`](crate::BearerAuthenticator) accepts, and lives as long as a
    /// [runtime token](Self::runtime) does. `kind` and `subject` are its [principal](Principal::new)'s: by them all tokens of
    /// one owner are [revoked](crate::Tokens::revoke_subject).
    ///
    /// ```
    /// use tower_plugin_auth::{
    ///     MemoryStore, NewToken, SystemRng, Tokens,
    ///     token::{KeyRing, TokenKind},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tokens = Tokens::builder(MemoryStore::new(1000)?, KeyRing::random(&SystemRng)?).build()?;
    ///
    /// let new = NewToken::for_subject("user", "alice").with_attribute("role", "admin");
    /// let issued = tokens.issue(new).await?;
    /// assert_eq!(issued.principal().subject(), "alice");
    ///
    /// // She has left.
    /// assert_eq!(tokens.revoke_subject("user", "alice").await?, 1);
    /// let sent = issued.token().expose().as_bytes();
    /// assert!(tokens.verify(TokenKind::Runtime, sent).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_subject(kind: impl Into<Cow<'static, str>>, subject: impl Into<Box<str>>) -> Self {
        Self::for_principal(TokenKind::Runtime, Principal::new(kind, subject))
    }

    /// A token of this kind, for somebody who is a principal already.
    pub fn for_principal(kind: TokenKind, principal: Principal) -> Self {
        Self {
            kind,
            owner: Owner::Principal(principal),
            ttl: None,
            idle_timeout: None,
        }
    }

    /// Tells whoever checks the token something about its owner.
    pub fn with_attribute(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.owner = match self.owner {
            Owner::Principal(principal) => Owner::Principal(principal.with_attribute(name, value)),
            Owner::Runtime {
                name: plugin,
                mut attributes,
            } => {
                attributes.push((name.into(), value.into()));
                Owner::Runtime {
                    name: plugin,
                    attributes,
                }
            }
        };
        self
    }

    /// How long it is to live, instead of the default for its kind.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long it may go unused, instead of the default.
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    pub(super) fn kind(&self) -> TokenKind {
        self.kind
    }

    pub(super) fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    pub(super) fn into_principal(self, id: TokenId) -> Principal {
        self.owner.principal(id)
    }
}

#[derive(Clone, Debug)]
enum Owner {
    Principal(Principal),
    Runtime {
        name: SelfId,
        attributes: Vec<(Box<str>, Box<str>)>,
    },
}

impl Owner {
    fn principal(self, id: TokenId) -> Principal {
        match self {
            Self::Principal(principal) => principal,
            Self::Runtime { name, attributes } => {
                let principal = Principal::new("runtime", name.runtime_id(id))
                    .with_attribute("self_id", name.as_str());
                attributes
                    .into_iter()
                    .fold(principal, |principal, (name, value)| {
                        principal.with_attribute(name, value)
                    })
            }
        }
    }
}
