//! Engine: who has left what behind, for who runs the host.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tower_plugin_auth::token::TokenId;

use super::{Health, Offer, Plugin, Registry};

/// A plugin with an offer or a health report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Who it is.
    pub runtime_id: Box<str>,
    /// The newest token it is known to have.
    pub token_id: TokenId,
    /// When that expires.
    pub expires_at: SystemTime,
    /// How it said it is, if it has.
    pub health: Option<Health>,
    /// What it offers, by type and version.
    pub offers: Vec<Arc<Offer>>,
}

impl Registry {
    /// The plugins that are there at `now`, in the order of their ids: at most `limit` of those after this one.
    ///
    /// Goes through everything once: for a page that somebody reads, not for every request.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize, now: SystemTime) -> Vec<Listed> {
        let mut plugins: Vec<(&str, &Plugin)> = self
            .plugins
            .iter()
            .map(|(runtime_id, plugin)| (&**runtime_id, plugin))
            .filter(|(_, plugin)| plugin.expires_at > now)
            .filter(|(runtime_id, _)| after.is_none_or(|after| *runtime_id > after))
            .collect();
        // Only what is shown is put in order.
        if limit < plugins.len() {
            plugins.select_nth_unstable_by_key(limit, |(runtime_id, _)| *runtime_id);
            plugins.truncate(limit);
        }
        plugins.sort_unstable_by_key(|(runtime_id, _)| *runtime_id);

        let mut offers: HashMap<&str, Vec<Arc<Offer>>> = plugins
            .iter()
            .map(|(runtime_id, _)| (*runtime_id, Vec::new()))
            .collect();
        for provider in self
            .services
            .values()
            .flat_map(|service| &service.providers)
        {
            if let Some(offers) = offers.get_mut(&*provider.runtime_id) {
                offers.push(Arc::clone(&provider.offer));
            }
        }
        plugins
            .into_iter()
            .map(|(runtime_id, plugin)| {
                let mut offers = offers.remove(runtime_id).unwrap_or_default();
                offers.sort_by(|a, b| {
                    let by_type = a.service_type.cmp(&b.service_type);
                    by_type.then_with(|| a.version.cmp(&b.version))
                });
                Listed {
                    runtime_id: runtime_id.into(),
                    token_id: plugin.token_id,
                    expires_at: plugin.expires_at,
                    health: plugin.health,
                    offers,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{Owner, RegistryLimits},
        *,
    };

    const LIMITS: RegistryLimits = RegistryLimits {
        registrations: 100,
        per_plugin: 10,
        per_service: 100,
        plugins: 100,
    };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn owner(runtime_id: &str, number: u8, end: u64) -> Owner<'_> {
        Owner {
            runtime_id,
            token_id: TokenId::from_bytes([number; 16]),
            expires_at: at(end),
        }
    }

    fn offer(service_type: &str, version: &str) -> Offer {
        Offer {
            service_type: service_type.into(),
            version: version.parse().unwrap(),
            endpoint_path: "/x/".into(),
            metadata: Vec::new(),
        }
    }

    #[test]
    fn every_plugin_is_on_one_page_with_what_is_its_own_while_it_lives() {
        let mut registry = Registry::new(LIMITS);
        for (id, plugin, service, version) in [
            (1, "b", "kv", "2.0.0"),
            (2, "a", "kv", "1.0.0"),
            (3, "b", "kv", "1.10.0"),
            (4, "b", "blob", "3.0.0"),
            (5, "d", "kv", "1.0.0"),
        ] {
            let owner = owner(plugin, id, if plugin == "d" { 50 } else { 100 });
            let id = format!("reg-{id}");
            let offer = offer(service, version);
            registry.register(owner, &id, offer, at(0)).unwrap();
        }
        let silent = owner("c", 9, 100);
        registry
            .report_health(silent, Health::Degraded, at(0))
            .unwrap();
        registry.unregister("a", "reg-2").unwrap();

        let names = |page: &[Listed]| -> Vec<String> {
            page.iter().map(|one| one.runtime_id.to_string()).collect()
        };
        let all = registry.list(None, 10, at(1));
        assert_eq!(names(&all), ["a", "b", "c", "d"]);
        let of_b: Vec<_> = all[1]
            .offers
            .iter()
            .map(|offer| format!("{} {}", offer.service_type, offer.version))
            .collect();
        assert_eq!(of_b, ["blob 3.0.0", "kv 1.10.0", "kv 2.0.0"]);
        assert_eq!((&all[0].offers[..], all[0].health), (&[][..], None));
        assert_eq!(all[2].health, Some(Health::Degraded));
        assert_eq!(all[2].token_id, TokenId::from_bytes([9; 16]));
        assert_eq!(all[3].expires_at, at(50));

        assert_eq!(names(&registry.list(None, 3, at(1))), ["a", "b", "c"]);
        assert_eq!(names(&registry.list(Some("b"), 1, at(1))), ["c"]);
        assert_eq!(names(&registry.list(Some("bb"), 9, at(1))), ["c", "d"]);
        assert_eq!(names(&registry.list(Some("d"), 9, at(1))), [""; 0]);
        // Whose token has ended is there no more, swept up or not.
        assert_eq!(names(&registry.list(None, 9, at(50))), ["a", "b", "c"]);
    }
}
