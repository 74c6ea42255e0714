//! Hands out capabilities: who may use what, for how long, and how often.
//!
//! A [`CapabilityBroker`] knows which [capabilities](Capability) there are. Somebody asks for one by a
//! [`GrantRequest`]; if the [policy](GrantPolicy) allows it, he gets a [grant](IssuedGrant) that a
//! [`CapabilityLayer`](crate::CapabilityLayer) in front of the capability accepts.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use tower_plugin_core::{Clock, Principal};

use crate::{
    config::InvalidConfig,
    grant::{GrantRecord, GrantToken, mint},
    store::GrantStore,
    token::{KeyRing, Rng},
};

mod builder;
mod capability;
mod error;
mod event;
mod grant;
mod manage;
mod policy;
mod request;

pub use crate::store::GrantRevocation;
pub use builder::CapabilityBrokerBuilder;
pub use capability::Capability;
pub use error::{GrantError, RequestError};
pub use event::GrantEvent;
pub use grant::Grant;
pub use policy::{DenyAll, GrantPolicy};
pub use request::GrantRequest;

pub(crate) use capability::is_kind;
pub(crate) use event::Denied;
pub(crate) use manage::{Checked, Refusal};

use event::Observer;

/// Registers capabilities, issues grants for them over one [store](GrantStore), and ends those.
///
/// Clones share everything; build one and hand clones to whoever asks for grants and to whoever guards capabilities.
/// No lock is held while a policy, an observer, a store or a handler runs.
///
/// ```
/// use tower_plugin_auth::{
///     Capability, CapabilityBroker, GrantRequest, Principal, SystemRng,
///     store::MemoryGrantStore, token::KeyRing,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = CapabilityBroker::builder(MemoryGrantStore::new(1000)?, KeyRing::random(&SystemRng)?)
///     .with_policy(|request: &GrantRequest, _: &Capability| request.principal().kind() == "runtime")
///     .build()?;
/// broker.register(
///     Capability::new("logger", "1.2.0")?.with_permission("POST /capability.logger.v1.Logger/*".parse()?),
/// )?;
///
/// let cache = Principal::new("runtime", "cache-7f3a");
/// let issued = broker.request(GrantRequest::new(cache, "logger").with_min_version("1.0.0")?).await?;
/// assert_eq!(issued.path(), format!("/capabilities/logger/{}", issued.token().id()));
///
/// let stranger = Principal::new("api-key", "somebody");
/// assert!(broker.request(GrantRequest::new(stranger, "logger")).await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct CapabilityBroker<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    policy: Arc<dyn GrantPolicy>,
    observer: Observer,
    is_barred: Option<IsBarred>,
    min_ttl: Duration,
    max_per_principal: usize,
    capabilities: RwLock<HashMap<Box<str>, Arc<Capability>>>,
}

impl<S: GrantStore> CapabilityBroker<S> {
    /// Starts from a store and the keys that chains begin with; see [`CapabilityBrokerBuilder`] for the rest.
    pub fn builder(store: S, keys: KeyRing) -> CapabilityBrokerBuilder<S> {
        CapabilityBrokerBuilder::new(store, keys)
    }

    /// Offers a capability, in the place of another of the same type. Grants of that one stay what they are.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it permits nothing, its grants would live for less than the floor of 1 minute or more
    /// than 10 years, or there are 1024 capabilities already.
    pub fn register(&self, capability: Capability) -> Result<(), InvalidConfig> {
        capability.check(self.0.min_ttl)?;
        let mut capabilities = self.0.capabilities.write();
        let is_new = !capabilities.contains_key(capability.kind());
        if is_new && capabilities.len() >= MAX_CAPABILITIES {
            return Err(InvalidConfig::new("capabilities", "at most 1024"));
        }
        capabilities.insert(capability.kind().into(), Arc::new(capability));
        Ok(())
    }

    /// Offers it no longer. Its grants are as good as before: [revoke](Self::revoke_capability) them, if
    /// they are not to be.
    pub fn unregister(&self, capability: &str) {
        self.0.capabilities.write().remove(capability);
    }

    /// What is offered, in no order.
    #[must_use]
    pub fn capabilities(&self) -> Vec<Arc<Capability>> {
        self.0.capabilities.read().values().cloned().collect()
    }

    /// Issues a grant, if there is such a capability and the policy allows it.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if there is no such capability or none of this version, the policy says no, the lifetime asked
    /// for is out of range, the principal or the reason is too long, there is no randomness, or the store is full or
    /// unavailable. Nothing is kept then, and no token leaves.
    pub async fn request(&self, request: GrantRequest) -> Result<IssuedGrant, RequestError> {
        let inner = &*self.0;
        let issued = self.issue(&request).await;
        match &issued {
            Ok((record, _)) => inner.observer.tell(&GrantEvent::Issued { record }),
            Err(error) => inner.observer.tell(&GrantEvent::Refused {
                request: &request,
                error,
            }),
        }
        issued.map(|(_, issued)| issued)
    }

    async fn issue(
        &self,
        request: &GrantRequest,
    ) -> Result<(GrantRecord, IssuedGrant), RequestError> {
        let inner = &*self.0;
        request.check()?;
        let found = inner.capabilities.read().get(request.capability()).cloned();
        let capability = found.ok_or(RequestError::UnknownCapability)?;
        if !request.accepts(&capability) {
            return Err(RequestError::NoSuchVersion);
        }
        let is_barred = || {
            let is_barred = inner.is_barred.as_ref();
            is_barred.is_some_and(|is_barred| is_barred(request.principal()))
        };
        if is_barred() || !inner.policy.permits(request, &capability) {
            return Err(RequestError::Denied);
        }
        let ttl = request.ttl().unwrap_or(capability.ttl());
        // Who asks may ask for less.
        if ttl < inner.min_ttl || ttl > capability.ttl() {
            return Err(RequestError::InvalidTtl);
        }
        let now = inner.clock.wall();
        let expires_at = now.checked_add(ttl).ok_or(RequestError::InvalidTtl)?;
        let minted = mint(&inner.keys, &inner.rng).map_err(RequestError::Rng)?;
        let principal = request.principal().clone();
        let record = GrantRecord::new(&minted, principal, capability.kind(), now, expires_at);
        let record = request.narrow(capability.describe(record));
        let insert = inner
            .store
            .insert(record.clone(), inner.max_per_principal, now);
        insert.await?;
        // Whoever barred it has looked for its grants, and may have come too early for this one.
        if is_barred() {
            let revoked = self.revoke(&record.id()).await;
            if let Err(error) = revoked {
                tracing::warn!(%error, "grant of somebody who is barred not revoked; nobody has it");
            }
            return Err(RequestError::Denied);
        }
        let issued = IssuedGrant {
            path: format!("{}/{}/{}", PREFIX, capability.kind(), record.id()),
            endpoint: capability.endpoint().map(Into::into),
            version: capability.version().into(),
            expires_at,
            token: minted.into_token(),
        };
        Ok((record, issued))
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }
}

impl<S> Clone for CapabilityBroker<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for CapabilityBroker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapabilityBroker")
            .field("store", &self.0.store)
            .field("keys", &self.0.keys)
            .field("max_per_principal", &self.0.max_per_principal)
            .finish_non_exhaustive()
    }
}

/// Says who is to be granted nothing, whatever the policy says.
type IsBarred = Arc<dyn Fn(&Principal) -> bool + Send + Sync>;

/// A grant just issued.
#[derive(Debug)]
pub struct IssuedGrant {
    token: GrantToken,
    path: String,
    endpoint: Option<Box<str>>,
    version: Box<str>,
    expires_at: SystemTime,
}

impl IssuedGrant {
    /// What its holder is to send; there is no other copy.
    #[must_use]
    pub fn token(&self) -> &GrantToken {
        &self.token
    }

    /// What its holder is to send, to keep.
    #[must_use]
    pub fn into_token(self) -> GrantToken {
        self.token
    }

    /// Where: `/capabilities/TYPE/ID`. What the capability knows by `/x` is below it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole address, where the capability has said [where it is](Capability::with_endpoint).
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        let base = self.endpoint.as_deref()?;
        Some(format!("{base}{}", self.path))
    }

    /// The version of the capability.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The first instant at which it is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

/// What the paths of capabilities begin with, unless a layer is told otherwise.
pub(crate) const PREFIX: &str = "/capabilities";

/// A host offers a handful.
const MAX_CAPABILITIES: usize = 1024;
