//! Engine: who offers which service, and who is well enough to be found.
//!
//! Everything is bounded, and everything a provider left behind ends with its identity: a record lives
//! until the token it was made with expires. Time comes in as `now`.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::SystemTime,
};

use semver::Version;

mod words;

pub use words::{Found, Health, Offer, Owner, Refusal, RegistryLimits, Selection};

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
        if plugin.registrations >= self.limits.per_plugin {
            return Err(Refusal::Full);
        }
        plugin.registrations += 1;
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

    /// Takes back an offer. Another plugin's offer is as unknown as none.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownRegistration`].
    pub fn unregister(&mut self, runtime_id: &str, id: &str) -> Result<(), Refusal> {
        let service_type = self
            .registrations
            .get(id)
            .ok_or(Refusal::UnknownRegistration)?;
        let service = self
            .services
            .get_mut(service_type)
            .ok_or(Refusal::UnknownRegistration)?;
        let position = service
            .providers
            .iter()
            .position(|provider| {
                &*provider.registration_id == id && &*provider.runtime_id == runtime_id
            })
            .ok_or(Refusal::UnknownRegistration)?;
        service.providers.remove(position);
        if service.providers.is_empty() {
            self.services.remove(service_type);
        }
        self.registrations.remove(id);
        if let Some(plugin) = self.plugins.get_mut(runtime_id) {
            plugin.registrations -= 1;
        }
        Ok(())
    }

    /// Finds one provider: of a version not below `min_version` in semver order, the healthy before
    /// the degraded and the silent, the unhealthy and the expired never.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownService`], [`Refusal::VersionTooLow`] or [`Refusal::NoneHealthy`].
    pub fn discover(
        &mut self,
        service_type: &str,
        min_version: Option<&Version>,
        selection: Selection,
        now: SystemTime,
    ) -> Result<Found, Refusal> {
        let service = self
            .services
            .get_mut(service_type)
            .ok_or(Refusal::UnknownService)?;
        let mut refusal = Refusal::UnknownService;
        let (mut well, mut usable) = (Vec::new(), Vec::new());
        for provider in &service.providers {
            let Some(plugin) = self
                .plugins
                .get(&*provider.runtime_id)
                .filter(|plugin| plugin.expires_at > now)
            else {
                continue;
            };
            if min_version.is_some_and(|min| provider.offer.version.cmp_precedence(min).is_lt()) {
                refusal = refusal.or(Refusal::VersionTooLow);
                continue;
            }
            match plugin.health {
                Some(Health::Healthy) => well.push(provider),
                None | Some(Health::Degraded) => usable.push(provider),
                Some(Health::Unhealthy) => refusal = refusal.or(Refusal::NoneHealthy),
            }
        }
        let single = well.len() + usable.len() == 1;
        let choice = if well.is_empty() { usable } else { well };
        let turn = match selection {
            Selection::RoundRobin => {
                service.turn = service.turn.wrapping_add(1);
                service.turn
            }
            Selection::Random(number) => number,
        };
        let index =
            usize::try_from(turn.checked_rem(choice.len() as u64).unwrap_or(0)).unwrap_or(0);
        let chosen = choice.get(index).ok_or(refusal)?;
        Ok(Found {
            runtime_id: Arc::clone(&chosen.runtime_id),
            offer: Arc::clone(&chosen.offer),
            single,
        })
    }

    /// Replaces what is known of a plugin's health.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] if the plugin is new and there are too many.
    pub fn report_health(
        &mut self,
        owner: Owner<'_>,
        health: Health,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        self.make_room(now);
        self.first_expiry = self.first_expiry.map(|first| first.min(owner.expires_at));
        Self::plugin(&mut self.plugins, &self.limits, owner)?.health = Some(health);
        Ok(())
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
                plugin.expires_at = plugin.expires_at.max(owner.expires_at);
                Ok(plugin)
            }
            Entry::Vacant(_) if count >= limits.plugins => Err(Refusal::Full),
            Entry::Vacant(slot) => Ok(slot.insert(Plugin {
                expires_at: owner.expires_at,
                registrations: 0,
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
        self.plugins.retain(|_, plugin| plugin.expires_at > now);
        self.first_expiry = self.plugins.values().map(|plugin| plugin.expires_at).min();
        let (plugins, registrations) = (&self.plugins, &mut self.registrations);
        self.services.retain(|_, service| {
            service.providers.retain(|provider| {
                let alive = plugins.contains_key(&*provider.runtime_id);
                if !alive {
                    registrations.remove(&*provider.registration_id);
                }
                alive
            });
            !service.providers.is_empty()
        });
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
    expires_at: SystemTime,
    registrations: usize,
    health: Option<Health>,
}

#[cfg(test)]
mod tests;
