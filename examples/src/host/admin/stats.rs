use axum::{extract::State, response::Response};
use serde::Serialize;
use serde_json::Value;
use tower_plugin_ratelimit::{EitherLimiter, redis::RedisStats};

use super::{Admin, answer};
use crate::host::{HostState, metrics::Telemetry};

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
    /// Unknown where they are on Redis.
    alive: Option<usize>,
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
    /// `up`, `down`, or `unasked`: nothing has been asked of it yet.
    state: &'static str,
    asked: u64,
    allowed_locally: u64,
    denied_locally: u64,
    errors: u64,
    /// Decided without it, as `--redis-on-unavailable` says.
    unavailable: u64,
    longest_batch_micros: u64,
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
                alive: host.identities.alive(),
                capacity: host.token_capacity,
            },
            registrations: host.registrations(),
            policies: policies(host),
            refusals: refusals(telemetry),
            redis: match &host.limits.limiter {
                EitherLimiter::Left(_) => None,
                EitherLimiter::Right(redis) => Some(Redis::of(&redis.stats())),
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
    fn of(stats: &RedisStats) -> Self {
        let state = match (stats.lanes_down, stats.batches, stats.errors) {
            (1.., _, _) | (0, 0, 1..) => "down",
            (0, 0, 0) => "unasked",
            (0, _, _) => "up",
        };
        Self {
            state,
            asked: stats.asked,
            allowed_locally: stats.allowed_locally,
            denied_locally: stats.denied_locally,
            errors: stats.errors,
            unavailable: stats.unavailable,
            longest_batch_micros: u64::try_from(stats.longest_batch.as_micros())
                .unwrap_or(u64::MAX),
        }
    }
}
