//! Who is there, with what.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_plugin_auth::{TokenStore, admission::Suspect, token::Record};
use tower_plugin_core::Principal;

use super::{Admin, answer, tokens::seconds};
use crate::host::{
    HostState,
    handshake::SELF_VERSION,
    identity::PLUGIN_KIND,
    registry::{Health, Listed, Offer},
};

/// Which plugins to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

/// What is known of a plugin: what it says of itself, and no secret.
#[derive(Serialize)]
struct Plugin<'a> {
    runtime_id: &'a str,
    self_id: Option<String>,
    self_version: Option<&'a str>,
    /// When it was admitted, in seconds since 1970, as all times here. With the version unknown while the token
    /// store does not say.
    since: Option<u64>,
    /// The public id of its newest token.
    token: String,
    token_expires_at: u64,
    /// `None` if it never said.
    health: Option<&'static str>,
    services: Vec<Service<'a>>,
    /// Those that are not shown, too.
    service_count: usize,
}

/// Metadata is not shown: it is the provider's, whatever is in it.
#[derive(Serialize)]
struct Service<'a> {
    service_type: &'a str,
    version: String,
    endpoint_path: &'a str,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(page)) = page else {
        return answer::invalid("the parameters are limit and after", &headers);
    };
    let limit = page.limit.unwrap_or(100);
    if !(1..=MAX_PLUGINS).contains(&limit) {
        return answer::invalid("limit must be 1 to 200", &headers);
    }
    let listed = admin.host.directory.list(page.after.as_deref(), limit);
    let records = records(&admin.host, &listed).await;
    let plugins: Vec<_> = listed
        .iter()
        .enumerate()
        .map(|(place, plugin)| Plugin::of(plugin, records.get(place).and_then(Option::as_deref)))
        .collect();
    let next = plugins
        .last()
        .filter(|_| plugins.len() == limit)
        .map(|last| last.runtime_id);
    answer::json(json!({ "plugins": plugins, "next": next }))
}

/// What the tokens of these plugins say of them, as far as it can be found out. This has to work when Redis does
/// not: after one question without an answer, none is asked.
async fn records(host: &HostState, listed: &[Listed]) -> Vec<Option<Arc<Record>>> {
    let store = host.identities.tokens().store();
    let mut records = Vec::with_capacity(listed.len());
    for plugin in listed {
        match store.get(&plugin.token_id).await {
            Ok(record) => records.push(record),
            Err(error) => {
                tracing::warn!(%error, "the tokens of plugins could not be looked up");
                break;
            }
        }
    }
    records
}

impl<'a> Plugin<'a> {
    fn of(listed: &'a Listed, record: Option<&'a Record>) -> Self {
        let owner = Principal::new(PLUGIN_KIND, &*listed.runtime_id);
        Self {
            runtime_id: &listed.runtime_id,
            self_id: match Suspect::of(&owner) {
                Suspect::Plugin(name) => Some(name.to_string()),
                _ => None,
            },
            self_version: record.and_then(|record| record.principal().attribute(SELF_VERSION)),
            since: record.map(|record| seconds(record.began_at())),
            token: listed.token_id.to_string(),
            token_expires_at: seconds(listed.expires_at),
            health: listed.health.map(|health| match health {
                Health::Healthy => "healthy",
                Health::Degraded => "degraded",
                Health::Unhealthy => "unhealthy",
            }),
            services: listed
                .offers
                .iter()
                .take(MAX_SERVICES)
                .map(|offer| Service::of(offer))
                .collect(),
            service_count: listed.offers.len(),
        }
    }
}

impl<'a> Service<'a> {
    fn of(offer: &'a Offer) -> Self {
        Self {
            service_type: &offer.service_type,
            version: offer.version.to_string(),
            endpoint_path: &offer.endpoint_path,
        }
    }
}

/// On a page.
const MAX_PLUGINS: usize = 200;
/// Of one plugin.
const MAX_SERVICES: usize = 100;
