use std::time::Duration;

use axum::{extract::State, response::Response};
use serde::Serialize;
use serde_json::Value;
use tower_plugin_auth::store::CacheStats;
use tower_plugin_ratelimit::{EitherLimiter, redis::RedisStats};

use super::{Admin, answer, tokens::seconds};
use crate::host::{HostState, metrics::Telemetry, stores::Health};

/// What goes on. Numbers count from the start of the host, but for those that say how many there are.
#[derive(Serialize)]
struct Stats {
    version: &'static str,
    ready: bool,
    uptime_seconds: u64,
    connections: Connections,
    tokens: Tokens,
    registrations: usize,
    policies: Vec<PolicyCounts>,
    refusals: Vec<RefusalCount>,
    redis: Option<Redis>,
    grants: Option<Value>,
    audit: Option<Value>,
    audit_log: Option<Value>,
}

#[derive(Serialize)]
struct Connections {
    open: usize,
    accepted: u64,
    refused: u64,
    failed_handshakes: u64,
}

#[derive(Serialize)]
struct Tokens {
    /// Those of all copies where they are on Redis; unknown while that does not say.
    alive: Option<u64>,
    capacity: usize,
}

/// What was decided by one policy, wherever it stands.
#[derive(Serialize)]
struct PolicyCounts {
    name: String,
    quota: String,
    admitted: u64,
    refused: u64,
    undecided: u64,
}

#[derive(Serialize)]
struct RefusalCount {
    layer: &'static str,
    reason: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct Redis {
    /// `up`, `down`, or `unasked`: nothing has been heard of it yet.
    state: &'static str,
    /// When that was found out, in seconds since 1970.
    since: Option<u64>,
    asked: u64,
    allowed_locally: u64,
    denied_locally: u64,
    errors: u64,
    /// Decided without it, as `--redis-on-unavailable` says.
    unavailable: u64,
    longest_batch_micros: u64,
    revocations: Option<Revocations>,
}

/// How late this copy may hear of what another has revoked.
#[derive(Serialize)]
struct Revocations {
    /// Whether it is told at once.
    heard: bool,
    /// How late at most now, and ever.
    lag_millis: u64,
    bound_millis: u64,
}

pub(super) async fn stats(State(admin): State<Admin>) -> Response {
    let figures = |of: Option<&super::Figures>| of.map(|figures| figures());
    answer::json(Stats::of(
        &admin.host,
        figures(admin.grants.as_ref()),
        figures(admin.audit.as_ref()),
    ))
}

impl Stats {
    fn of(host: &HostState, grants: Option<Value>, audit: Option<Value>) -> Self {
        let telemetry = &host.telemetry;
        let uptime = host.clock.wall().duration_since(telemetry.started());
        let connections = telemetry.connections();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            ready: host.readiness.is_ready(),
            uptime_seconds: uptime.unwrap_or_default().as_secs(),
            connections: Connections {
                open: connections.open(),
                accepted: connections.accepted(),
                refused: connections.refused(),
                failed_handshakes: connections.failed_handshakes(),
            },
            tokens: Tokens {
                alive: host.kept.tokens_alive(host.clock.wall()),
                capacity: host.token_capacity,
            },
            registrations: host.registrations(),
            policies: policies(host),
            refusals: refusals(telemetry),
            redis: match &host.limits.limiter {
                EitherLimiter::Left(_) => None,
                EitherLimiter::Right(redis) => Some(Redis::of(host, &redis.stats())),
            },
            grants,
            audit,
            audit_log: host.audit.as_ref().map(|log| log.figures()),
        }
    }
}

fn policies(host: &HostState) -> Vec<PolicyCounts> {
    let counts = host.limits.counts().into_iter();
    counts
        .map(|(policy, counts)| {
            let quotas: Vec<_> = policy.quotas().iter().map(ToString::to_string).collect();
            PolicyCounts {
                name: policy.name().to_owned(),
                quota: quotas.join(", "),
                admitted: counts.allowed,
                refused: counts.denied,
                undecided: counts.undecided,
            }
        })
        .collect()
}

fn refusals(telemetry: &Telemetry) -> Vec<RefusalCount> {
    let refusals = telemetry.refusals().into_iter();
    refusals
        .map(|(refusal, count)| RefusalCount {
            layer: refusal.layer,
            reason: refusal.reason,
            count,
        })
        .collect()
}

impl Redis {
    fn of(host: &HostState, stats: &RedisStats) -> Self {
        let census = host.kept.census();
        let (health, since) = census.map(|census| census.health()).unwrap_or_default();
        Self {
            state: match health {
                Health::Down => "down",
                Health::Unasked => "unasked",
                Health::Up => "up",
            },
            since: since.map(seconds),
            asked: stats.asked,
            allowed_locally: stats.allowed_locally,
            denied_locally: stats.denied_locally,
            errors: stats.errors,
            unavailable: stats.unavailable,
            longest_batch_micros: u64::try_from(stats.longest_batch.as_micros())
                .unwrap_or(u64::MAX),
            revocations: host.kept.cache().map(|cache| Revocations::of(&cache)),
        }
    }
}

impl Revocations {
    fn of(cache: &CacheStats) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            heard: cache.is_live,
            lag_millis: millis(cache.revocation_lag),
            bound_millis: millis(cache.revocation_bound),
        }
    }
}
