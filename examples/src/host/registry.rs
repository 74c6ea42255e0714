//! Engine: who offers which service, and who is well enough to be found.
//!
//! Everything is bounded, and everything a provider left behind ends with its identity: a record lives
//! until the token it was made with expires, or that token's successor, or its owner is
//! [removed](Registry::remove). Time comes in as `now`.
//!
//! What changes a service says so: those who watch it are told by whoever holds the registry.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::SystemTime,
};

use tower_plugin_auth::token::TokenId;

mod end;
mod find;
mod list;
mod words;

pub use list::Listed;
pub use words::{
    Availability, Found, Health, Offer, Overview, Owner, Refusal, RegistryLimits, Selection,
};

/// The registry. Not synchronised: the caller locks it around each call.
#[derive(Debug)]
pub struct Registry {
    limits: RegistryLimits,
    services: HashMap<Box<str>, Service>,
    // Registration id to service type.
    registrations: HashMap<Box<str>, Box<str>>,
    plugins: HashMap<Box<str>, Plugin>,
    // No plugin expires before this; unknown until the first sweep.
    first_expiry: Option<SystemTime>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(limits: RegistryLimits) -> Self {
        Self {
            limits,
            services: HashMap::new(),
            registrations: HashMap::new(),
            plugins: HashMap::new(),
            first_expiry: None,
        }
    }

    /// Records an offer under the id the caller drew.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] at a limit, [`Refusal::Taken`] if the id is in use.
    pub fn register(
        &mut self,
        owner: Owner<'_>,
        id: &str,
        offer: Offer,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        self.make_room(now);
        if self.registrations.len() >= self.limits.registrations
            || self
                .services
                .get(&offer.service_type)
                .is_some_and(|service| service.providers.len() >= self.limits.per_service)
        {
            return Err(Refusal::Full);
        }
        let Entry::Vacant(registration) = self.registrations.entry(id.into()) else {
            return Err(Refusal::Taken);
        };
        self.first_expiry = self.first_expiry.map(|first| first.min(owner.expires_at));
        let plugin = Self::plugin(&mut self.plugins, &self.limits, owner)?;
        if plugin.registrations.len() >= self.limits.per_plugin {
            return Err(Refusal::Full);
        }
        plugin.registrations.push(id.into());
        registration.insert(offer.service_type.clone());
        self.services
            .entry(offer.service_type.clone())
            .or_default()
            .providers
            .push(Provider {
                registration_id: id.into(),
                runtime_id: owner.runtime_id.into(),
                offer: Arc::new(offer),
            });
        Ok(())
    }

    /// Takes back an offer; of which service. Another plugin's offer is as unknown as none.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownRegistration`].
    pub fn unregister(&mut self, runtime_id: &str, id: &str) -> Result<Box<str>, Refusal> {
        let own = self
            .plugins
            .get_mut(runtime_id)
            .and_then(|plugin| {
                let position = plugin.registrations.iter().position(|own| **own == *id)?;
                Some(plugin.registrations.remove(position))
            })
            .ok_or(Refusal::UnknownRegistration)?;
        self.withdraw(&own).ok_or(Refusal::UnknownRegistration)
    }

    /// Replaces what is known of a plugin's health; the services that changes.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] if the plugin is new and there are too many.
    pub fn report_health(
        &mut self,
        owner: Owner<'_>,
        health: Health,
        now: SystemTime,
    ) -> Result<Vec<Box<str>>, Refusal> {
        self.make_room(now);
        self.first_expiry = self.first_expiry.map(|first| first.min(owner.expires_at));
        let plugin = Self::plugin(&mut self.plugins, &self.limits, owner)?;
        if plugin.health.replace(health) == Some(health) {
            return Ok(Vec::new());
        }
        let services = plugin
            .registrations
            .iter()
            .filter_map(|id| self.registrations.get(id));
        Ok(services.cloned().collect())
    }

    /// Number of live offers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registrations.len()
    }

    /// Whether there is no offer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }

    fn plugin<'a>(
        plugins: &'a mut HashMap<Box<str>, Plugin>,
        limits: &RegistryLimits,
        owner: Owner<'_>,
    ) -> Result<&'a mut Plugin, Refusal> {
        let count = plugins.len();
        match plugins.entry(owner.runtime_id.into()) {
            Entry::Occupied(plugin) => {
                let plugin = plugin.into_mut();
                plugin.renew(owner.token_id, owner.expires_at);
                Ok(plugin)
            }
            Entry::Vacant(_) if count >= limits.plugins => Err(Refusal::Full),
            Entry::Vacant(slot) => Ok(slot.insert(Plugin {
                token_id: owner.token_id,
                expires_at: owner.expires_at,
                registrations: Vec::new(),
                health: None,
            })),
        }
    }

    // Drops what expired, but only at a limit and when something has: a full registry of live records
    // refuses without walking them.
    fn make_room(&mut self, now: SystemTime) {
        let full = self.registrations.len() >= self.limits.registrations
            || self.plugins.len() >= self.limits.plugins;
        if !full || self.first_expiry.is_some_and(|first| now < first) {
            return;
        }
        self.sweep(now);
    }

    // Takes an offer out of its service, which it names. The owner's own note of it is the caller's.
    fn withdraw(&mut self, id: &str) -> Option<Box<str>> {
        let service_type = self.registrations.remove(id)?;
        if let Some(service) = self.services.get_mut(&service_type) {
            service
                .providers
                .retain(|provider| *provider.registration_id != *id);
            if service.providers.is_empty() {
                self.services.remove(&service_type);
            }
        }
        Some(service_type)
    }
}

#[derive(Debug, Default)]
struct Service {
    providers: Vec<Provider>,
    turn: u64,
}

#[derive(Debug)]
struct Provider {
    registration_id: Box<str>,
    runtime_id: Arc<str>,
    offer: Arc<Offer>,
}

#[derive(Debug)]
struct Plugin {
    // The latest it has called with, and when that expires.
    token_id: TokenId,
    expires_at: SystemTime,
    registrations: Vec<Box<str>>,
    health: Option<Health>,
}

impl Plugin {
    // A call with the older token, which may go on for a while, takes nothing back.
    fn renew(&mut self, token_id: TokenId, expires_at: SystemTime) {
        if expires_at >= self.expires_at {
            (self.token_id, self.expires_at) = (token_id, expires_at);
        }
    }
}

#[cfg(test)]
mod tests;
