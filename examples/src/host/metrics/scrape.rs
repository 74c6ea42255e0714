use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{extract::State, response::IntoResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tower_plugin_ratelimit::EitherLimiter;

use super::process;
use crate::host::{HostState, stores::Health};

/// Everything, in Prometheus' text format.
pub(in crate::host) async fn scrape(State(state): State<Arc<HostState>>) -> impl IntoResponse {
    let telemetry = &state.telemetry;
    telemetry.locally(|| set_gauges(&state));
    (
        [
            (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
        ],
        telemetry.0.handle.render() + &telemetry.0.latencies.render(),
    )
}

/// What each of them means, for who reads the text.
pub(super) fn describe() {
    for (name, meaning) in [
        (
            "plugin_host_connections_total",
            "Connections accepted on the main listener.",
        ),
        (
            "plugin_host_connections_refused_total",
            "Connections closed unheard: their address had its share.",
        ),
        (
            "plugin_host_decisions_total",
            "Decisions about rates, by policy and what was decided.",
        ),
        (
            "plugin_host_refusals_total",
            "Requests refused, by the layer that did and its reason.",
        ),
        (
            "plugin_host_requests_total",
            "Requests answered, by route template and HTTP status.",
        ),
        (
            "plugin_host_tls_handshakes_failed_total",
            "TLS handshakes that failed or took too long.",
        ),
    ] {
        describe_counter!(name, meaning);
    }
    for (name, meaning) in [
        (
            "plugin_host_connections",
            "Connections open on the main listener.",
        ),
        ("plugin_host_ready", "1 while new requests are welcome."),
        ("plugin_host_redis_up", "0 while Redis is taken for down."),
        ("plugin_host_registrations", "Services registered."),
        (
            "plugin_host_tokens",
            "Runtime tokens that are valid: with Redis those of all copies, and NaN while it does not say.",
        ),
        ("plugin_host_grants", "Grants of capabilities, likewise."),
    ] {
        describe_gauge!(name, meaning);
    }
}

fn set_gauges(state: &HostState) {
    let telemetry = &state.telemetry;
    let connections = telemetry.connections();
    gauge!("plugin_host_connections").set(connections.open() as f64);
    counter!("plugin_host_connections_total").absolute(connections.accepted());
    counter!("plugin_host_connections_refused_total").absolute(connections.refused());
    counter!("plugin_host_tls_handshakes_failed_total").absolute(connections.failed_handshakes());
    gauge!("plugin_host_ready").set(f64::from(u8::from(state.readiness.is_ready())));
    // A number that was right once would be taken for one that is.
    let or_unknown = |alive: Option<u64>| alive.map_or(f64::NAN, |alive| alive as f64);
    let tokens = state.kept.tokens_alive(state.clock.wall());
    gauge!("plugin_host_tokens").set(or_unknown(tokens));
    gauge!("plugin_host_grants").set(or_unknown(state.kept.grants_alive()));
    gauge!("plugin_host_registrations").set(state.registrations() as f64);
    for (policy, counts) in state.limits.counts() {
        for (decision, count) in [
            ("admitted", counts.allowed),
            ("refused", counts.denied),
            ("undecided", counts.undecided),
        ] {
            let policy = policy.name().to_owned();
            counter!("plugin_host_decisions_total", "policy" => policy, "decision" => decision)
                .absolute(count);
        }
    }
    match &state.limits.limiter {
        EitherLimiter::Left(memory) => memory.stats().record("host"),
        EitherLimiter::Right(redis) => redis.stats().record("host"),
    }
    if let Some(cache) = state.kept.cache() {
        cache.record("host");
    }
    if let Some(census) = state.kept.census() {
        let (health, _) = census.health();
        gauge!("plugin_host_redis_up").set(f64::from(u8::from(health != Health::Down)));
    }
    let started = telemetry.started().duration_since(UNIX_EPOCH);
    gauge!("process_start_time_seconds").set(started.as_ref().map_or(0.0, Duration::as_secs_f64));
    if let Some(bytes) = process::resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Some(files) = process::open_files() {
        gauge!("process_open_fds").set(files as f64);
    }
}
