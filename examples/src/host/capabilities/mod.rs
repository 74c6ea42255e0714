//! What plugins may use of the host itself, by grants.
//!
//! A plugin asks the [broker](super::broker) for a grant and is told where to call and by which token. Grants
//! end with the tokens of the plugin that has asked.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::Router;
use http::{Extensions, HeaderName};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower_plugin_auth::{
    Capability, CapabilityBroker, CapabilityLayer, GrantRequest, InvalidConfig, StoreError,
    authenticate::CredentialHeader, broker::GrantEvent, store::SharedGrantStore, token::KeyRing,
};
use tower_plugin_core::{Clock, Principal};

use super::{HostError, identity::PLUGIN_KIND, logger::logger, options::PublicUrl};

mod base;
mod mount;

pub(super) use base::{Base, note_base};
pub(super) use mount::mount;

/// Something of the host's that plugins may be granted.
pub struct HostCapability {
    capability: Capability,
    service: Router,
}

/// What is offered, and to whom it was granted.
pub(super) struct Grants {
    broker: CapabilityBroker<SharedGrantStore>,
    settings: GrantConfig,
    holders: Arc<Holders>,
    services: Mutex<HashMap<Box<str>, Router>>,
}

/// How grants are made.
#[derive(Clone, Debug)]
pub struct GrantConfig {
    /// How long one lives.
    pub ttl: Duration,
    /// Most of them at a time.
    pub capacity: usize,
    /// Most of them that one plugin may have at a time.
    pub per_plugin: usize,
    /// Whether only the plugin that has asked may use one.
    pub bound: bool,
    /// Where plugins reach the host, if that is not where they have reached it.
    pub public_url: Option<PublicUrl>,
}

/// Plugins that have been granted something. No more of them than have tokens: who has none is forgotten.
#[derive(Debug, Default)]
struct Holders(Mutex<HashMap<Box<str>, Principal>>);

impl HostCapability {
    /// `service` is called with the path below the grant's address, with the
    /// [`Grant`](tower_plugin_auth::Grant) and the [`Principal`] it was issued to in the extensions.
    #[must_use]
    pub fn new(capability: Capability, service: Router) -> Self {
        Self {
            capability,
            service,
        }
    }

    /// `capability.logger.v1.Logger`, for plugins that write to the host's log.
    pub(super) fn logger() -> Result<Self, HostError> {
        let capability = Capability::new("logger", "1.0.0")?.with_permission(LOGGER.parse()?);
        Ok(Self::new(capability, logger()?))
    }
}

impl Grants {
    /// Offers the logger. `observe` is told of what happens to grants, and who `is_barred` is granted nothing;
    /// neither may block.
    pub(super) fn new(
        settings: GrantConfig,
        store: SharedGrantStore,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
        observe: impl Fn(&GrantEvent<'_>) + Send + Sync + 'static,
        is_barred: impl Fn(&Principal) -> bool + Send + Sync + 'static,
    ) -> Result<Self, HostError> {
        let holders = Arc::<Holders>::default();
        let observe = {
            let holders = Arc::clone(&holders);
            move |event: &GrantEvent<'_>| {
                if let GrantEvent::Issued { record } = event {
                    holders.note(record.principal());
                }
                observe(event);
            }
        };
        let broker = CapabilityBroker::builder(store, keys)
            .with_policy(|request: &GrantRequest, _: &Capability| {
                request.principal().kind() == PLUGIN_KIND
            })
            .with_barred(is_barred)
            .with_max_per_principal(settings.per_plugin)
            .with_clock(clock)
            .with_observer(observe)
            .build()?;
        let grants = Self {
            broker,
            settings,
            holders,
            services: Mutex::default(),
        };
        grants.offer(HostCapability::logger()?)?;
        Ok(grants)
    }

    pub(super) fn offer(&self, offered: HostCapability) -> Result<(), InvalidConfig> {
        let HostCapability {
            capability,
            service,
        } = offered;
        let kind = capability.kind().into();
        self.broker
            .register(capability.with_ttl(self.settings.ttl))?;
        self.services.lock().insert(kind, service);
        Ok(())
    }

    pub(super) fn broker(&self) -> &CapabilityBroker<SharedGrantStore> {
        &self.broker
    }

    /// Who is to use a grant.
    pub(super) fn is_bound(&self) -> bool {
        self.settings.bound
    }

    /// Where plugins reach the host, if somebody has said so.
    pub(super) fn public_url(&self) -> Option<&str> {
        self.settings.public_url.as_ref().map(PublicUrl::as_str)
    }

    /// Where the caller of a request reaches the host.
    pub(super) fn base<'a>(&'a self, of_request: &'a Extensions) -> &'a str {
        match self.public_url() {
            Some(url) => url,
            None => of_request.get::<Base>().map_or("", |Base(base)| base),
        }
    }

    /// What checks them: in `Authorization` where that is all a caller sends, beside the runtime token where
    /// who calls has to be known as well.
    pub(super) fn layer(&self) -> CapabilityLayer<SharedGrantStore> {
        let layer = CapabilityLayer::new(self.broker.clone());
        match self.settings.bound {
            true => layer.with_header(CredentialHeader::new(GRANT.clone())),
            false => layer,
        }
    }

    fn services(&self) -> HashMap<Box<str>, Router> {
        self.services.lock().clone()
    }

    /// Everybody who may have a grant.
    pub(super) fn holders(&self) -> Vec<Principal> {
        self.holders.0.lock().values().cloned().collect()
    }

    /// Ends all that this plugin was granted.
    pub(super) async fn end(&self, holder: &Principal) -> Result<u64, StoreError> {
        let (kind, subject) = (holder.kind(), holder.subject());
        let ended = self.broker.revoke_subject(kind, subject).await?;
        self.holders.0.lock().remove(subject);
        Ok(ended)
    }

    /// What the administration says of them: of those that are `alive`, and of how many there may be.
    pub(super) fn figures(&self, alive: Option<u64>, capacity: usize) -> Value {
        json!({
            "alive": alive,
            "capacity": capacity,
            "holders": self.holders.0.lock().len(),
            "bound_to_their_plugins": self.settings.bound,
            "capabilities": self.capabilities(),
        })
    }

    /// The type and the version of what is offered, in order.
    pub(super) fn capabilities(&self) -> Vec<(String, String)> {
        let mut capabilities: Vec<_> = self
            .broker
            .capabilities()
            .iter()
            .map(|capability| (capability.kind().to_owned(), capability.version()))
            .collect();
        capabilities.sort();
        capabilities
    }
}

impl Holders {
    fn note(&self, holder: &Principal) {
        let subject = holder.subject().into();
        self.0.lock().insert(subject, holder.clone());
    }
}

impl fmt::Debug for HostCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCapability")
            .field("capability", &self.capability)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("broker", &self.broker)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Where a grant is sent that is bound to who calls.
static GRANT: LazyLock<HeaderName> = LazyLock::new(|| HeaderName::from_static("x-plugin-grant"));
const LOGGER: &str = "POST /capability.logger.v1.Logger/*";
