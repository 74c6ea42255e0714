//! Engine: who is found, and how a service is.

use std::{sync::Arc, time::SystemTime};

use semver::Version;

use super::{
    Availability, Found, Health, Offer, Overview, Plugin, Provider, Refusal, Registry, Selection,
};

impl Registry {
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
            Selection::First => 0,
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

    /// How a service is at `now`. Takes nobody's turn.
    #[must_use]
    pub fn overview(&self, service_type: &str, now: SystemTime) -> Overview {
        let mut live = self.live(service_type, now).peekable();
        let is_offered = live.peek().is_some();
        // The first of the best: whoever comes later changes nothing for those who watch.
        let best = live
            .filter_map(|(plugin, provider)| Some((rank(plugin)?, provider)))
            .min_by_key(|(rank, _)| *rank);
        Overview {
            availability: match best {
                Some((Rank::Well | Rank::Silent, _)) => Availability::Available,
                _ if is_offered => Availability::Degraded,
                _ => Availability::Unavailable,
            },
            provider: best.map(|(_, provider)| {
                (
                    Arc::clone(&provider.runtime_id),
                    Arc::clone(&provider.offer),
                )
            }),
        }
    }

    /// What this provider offers as this service, in its highest version.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownService`] if it offers no such service, [`Refusal::NoneHealthy`] if it is not
    /// to be called.
    pub fn provider(
        &self,
        service_type: &str,
        runtime_id: &str,
        now: SystemTime,
    ) -> Result<Arc<Offer>, Refusal> {
        let (plugin, provider) = self
            .live(service_type, now)
            .filter(|(_, provider)| *provider.runtime_id == *runtime_id)
            .max_by(|(_, a), (_, b)| a.offer.version.cmp_precedence(&b.offer.version))
            .ok_or(Refusal::UnknownService)?;
        rank(plugin).ok_or(Refusal::NoneHealthy)?;
        Ok(Arc::clone(&provider.offer))
    }

    /// How a plugin said it is, if it did and its token is good.
    #[must_use]
    pub fn health(&self, runtime_id: &str, now: SystemTime) -> Option<Health> {
        let plugin = self.plugins.get(runtime_id);
        plugin.filter(|plugin| plugin.expires_at > now)?.health
    }

    fn live(
        &self,
        service_type: &str,
        now: SystemTime,
    ) -> impl Iterator<Item = (&Plugin, &Provider)> {
        let service = self.services.get(service_type);
        let providers = service.into_iter().flat_map(|service| &service.providers);
        providers.filter_map(move |provider| {
            let plugin = self.plugins.get(&*provider.runtime_id)?;
            (plugin.expires_at > now).then_some((plugin, provider))
        })
    }
}

/// How gladly a provider is called.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    Well,
    Silent,
    Degraded,
}

// None for one that must not be called.
fn rank(plugin: &Plugin) -> Option<Rank> {
    match plugin.health {
        Some(Health::Healthy) => Some(Rank::Well),
        None => Some(Rank::Silent),
        Some(Health::Degraded) => Some(Rank::Degraded),
        Some(Health::Unhealthy) => None,
    }
}
