//! The registry as the services share it: whoever watches a service hears of what changes it.

use std::{fmt, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use semver::Version;
use tower_plugin_auth::token::TokenId;
use tower_plugin_core::Clock;

use super::{
    options::Strategy,
    registry::{
        Found, Health, Listed, Offer, Overview, Owner, Refusal, Registry, RegistryLimits, Selection,
    },
    watch::{Bell, Bells},
};

/// The registry, its clock, and those who watch it.
pub(super) struct Directory {
    clock: Arc<dyn Clock>,
    strategy: Strategy,
    // Held for one call of the engine, never across an await.
    registry: Mutex<Registry>,
    bells: Arc<Bells>,
}

impl Directory {
    pub(super) fn new(limits: RegistryLimits, strategy: Strategy, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            strategy,
            registry: Mutex::new(Registry::new(limits)),
            bells: Arc::default(),
        }
    }

    /// Rings at every change of this service, but not when a provider expires: the clock tells that.
    pub(super) fn bell(&self, service_type: &str) -> Bell {
        self.bells.hang(service_type)
    }

    pub(super) fn register(&self, owner: Owner<'_>, id: &str, offer: Offer) -> Result<(), Refusal> {
        let service_type = offer.service_type.clone();
        let now = self.clock.wall();
        self.registry.lock().register(owner, id, offer, now)?;
        self.bells.ring(&[service_type]);
        Ok(())
    }

    pub(super) fn unregister(&self, runtime_id: &str, id: &str) -> Result<(), Refusal> {
        let service_type = self.registry.lock().unregister(runtime_id, id)?;
        self.bells.ring(&[service_type]);
        Ok(())
    }

    pub(super) fn report_health(&self, owner: Owner<'_>, health: Health) -> Result<(), Refusal> {
        let now = self.clock.wall();
        let changed = self.registry.lock().report_health(owner, health, now)?;
        self.bells.ring(&changed);
        Ok(())
    }

    pub(super) fn health(&self, runtime_id: &str) -> Option<Health> {
        self.registry.lock().health(runtime_id, self.clock.wall())
    }

    pub(super) fn discover(
        &self,
        service_type: &str,
        min_version: Option<&Version>,
    ) -> Result<Found, Refusal> {
        let selection = match self.strategy {
            Strategy::First => Selection::First,
            Strategy::RoundRobin => Selection::RoundRobin,
            Strategy::Random => random(),
        };
        let now = self.clock.wall();
        let mut registry = self.registry.lock();
        registry.discover(service_type, min_version, selection, now)
    }

    pub(super) fn overview(&self, service_type: &str) -> Overview {
        let now = self.clock.wall();
        self.registry.lock().overview(service_type, now)
    }

    pub(super) fn provider(
        &self,
        service_type: &str,
        runtime_id: &str,
    ) -> Result<Arc<Offer>, Refusal> {
        let now = self.clock.wall();
        self.registry.lock().provider(service_type, runtime_id, now)
    }

    pub(super) fn renew(&self, runtime_id: &str, token_id: TokenId, expires_at: SystemTime) {
        self.registry.lock().renew(runtime_id, token_id, expires_at);
    }

    pub(super) fn remove(&self, runtime_id: &str) {
        let changed = self.registry.lock().remove(runtime_id);
        self.bells.ring(&changed);
    }

    pub(super) fn sweep(&self) {
        let changed = self.registry.lock().sweep(self.clock.wall());
        self.bells.ring(&changed);
    }

    /// Registrations there are.
    pub(super) fn len(&self) -> usize {
        self.registry.lock().len()
    }

    /// At most so many plugins after this one.
    pub(super) fn list(&self, after: Option<&str>, limit: usize) -> Vec<Listed> {
        let now = self.clock.wall();
        self.registry.lock().list(after, limit, now)
    }

    pub(super) fn owners(&self) -> Vec<(Box<str>, TokenId)> {
        self.registry.lock().owners()
    }
}

/// Without randomness they take turns: whoever is found is as good as the others.
fn random() -> Selection {
    let mut number = [0; 8];
    match getrandom::fill(&mut number) {
        Ok(()) => Selection::Random(u64::from_le_bytes(number)),
        Err(error) => {
            tracing::warn!(%error, "no randomness to choose a provider by");
            Selection::RoundRobin
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}
