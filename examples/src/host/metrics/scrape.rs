use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{extract::State, response::IntoResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use metrics::{counter, gauge};
use tower_plugin_ratelimit::EitherLimiter;

use super::process;
use crate::host::HostState;

/// Everything, in Prometheus' text format.
pub(in crate::host) async fn scrape(State(state): State<Arc<HostState>>) -> impl IntoResponse {
    let telemetry = &state.telemetry;
    telemetry.locally(|| set_gauges(&state));
    (
        [
            (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
        ],
        telemetry.0.handle.render(),
    )
}

fn set_gauges(state: &HostState) {
    let telemetry = &state.telemetry;
    let connections = telemetry.connections();
    gauge!("plugin_host_connections").set(connections.open() as f64);
    counter!("plugin_host_connections_total").absolute(connections.accepted());
    counter!("plugin_host_connections_refused_total").absolute(connections.refused());
    counter!("plugin_host_tls_handshakes_failed_total").absolute(connections.failed_handshakes());
    gauge!("plugin_host_ready").set(f64::from(u8::from(state.readiness.is_ready())));
    gauge!("plugin_host_tokens").set(state.tokens_alive() as f64);
    gauge!("plugin_host_registrations").set(state.registrations() as f64);
    match &state.limits.limiter {
        EitherLimiter::Left(memory) => memory.stats().record("host"),
        EitherLimiter::Right(redis) => {
            let stats = redis.stats();
            gauge!("plugin_host_redis_up").set(f64::from(u8::from(stats.lanes_down == 0)));
            stats.record("host");
        }
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
