//! What is counted, and how it is shown.
//!
//! Labels are the operator's or the code's: route templates, status codes, names of policies, layers and
//! reasons. Nothing a caller sends becomes one.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use axum::extract::MatchedPath;
use http::{HeaderMap, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;
use tokio::{task::AbortHandle, time};
use tower_plugin_core::{Clock, Rejection};
use tower_plugin_validate::sanitize::RequestId;

use super::Connections;
use latency::{Latencies, Outcome};

mod latency;
mod layers;
mod observe;
mod process;
mod scrape;

pub(super) use observe::observe;
pub(super) use scrape::scrape;

/// The figures of one host. Clones share them.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    clock: Arc<dyn Clock>,
    connections: Connections,
    latencies: Latencies,
    // As many as there are reasons in the code.
    refusals: Mutex<BTreeMap<Refusal, u64>>,
    request_ids: RequestIds,
    started: SystemTime,
}

/// Which layer refused a request, and why.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Refusal {
    pub(super) layer: &'static str,
    pub(super) reason: &'static str,
}

/// Drains what the exporter has gathered, until this is dropped.
#[derive(Debug)]
pub struct Upkeep(AbortHandle);

impl Telemetry {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, scrape::describe);
        Self(Arc::new(Inner {
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
            connections: Connections::default(),
            latencies: Latencies::default(),
            refusals: Mutex::default(),
            request_ids: RequestIds::new(),
            started: clock.wall(),
            clock,
        }))
    }

    /// Takes in what the libraries count that cannot be told apart by host, too; once in a process. In a
    /// Tokio runtime.
    #[must_use]
    pub fn install(&self) -> Upkeep {
        if metrics::set_global_recorder(Arc::clone(&self.0.recorder)).is_err() {
            tracing::warn!("another host of this process takes in what the libraries count");
        }
        let handle = self.0.handle.clone();
        let upkeep = tokio::spawn(async move {
            loop {
                time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        });
        Upkeep(upkeep.abort_handle())
    }

    /// What counts connections: for [`Listener::with_connections`](super::Listener::with_connections).
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.0.connections.clone()
    }

    /// Lets `act` count here and nowhere else.
    pub(super) fn locally<T>(&self, act: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&*self.0.recorder, act)
    }

    pub(super) fn refusals(&self) -> Vec<(Refusal, u64)> {
        let refusals = self.0.refusals.lock();
        refusals.iter().map(|(key, count)| (*key, *count)).collect()
    }

    pub(super) fn started(&self) -> SystemTime {
        self.0.started
    }

    /// Nanoseconds, of which only differences mean anything.
    fn now(&self) -> u64 {
        self.0.clock.monotonic_nanos()
    }

    /// Counts what has come of a request that `began` then.
    fn count<B>(&self, route: Option<&MatchedPath>, response: &Response<B>, began: u64) {
        let took = self.now().saturating_sub(began);
        let outcome = Outcome::of(response);
        let latencies = &self.0.latencies;
        latencies.record(route.map(MatchedPath::as_str), outcome, took);
        let route = route.map_or("none", MatchedPath::as_str).to_owned();
        // A provider may answer any of 900, and each would be a series of its own.
        let status = response.status();
        let code = match status.canonical_reason() {
            Some(_) => status.as_str().to_owned(),
            None => "other".to_owned(),
        };
        let rejection = response.extensions().get::<Rejection>();
        self.locally(|| {
            let requests = metrics::counter!("plugin_host_requests_total", "route" => route, "code" => code);
            requests.increment(1);
            if let Some(rejection) = rejection {
                let refusal = Refusal::of(rejection);
                *self.0.refusals.lock().entry(refusal).or_insert(0) += 1;
                let Refusal { layer, reason } = refusal;
                metrics::counter!("plugin_host_refusals_total", "layer" => layer, "reason" => reason)
                    .increment(1);
            }
        });
    }

    /// The one the caller has sent, if it is well-formed, or a new one.
    fn request_id(&self, headers: &HeaderMap) -> Option<RequestId> {
        let mut sent = headers.get_all(observe::REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(one), None) => RequestId::new(one.as_bytes()),
            _ => None,
        }
        .or_else(|| self.0.request_ids.next())
    }
}

impl Refusal {
    fn of(rejection: &Rejection) -> Self {
        let reason = rejection.reason();
        Self {
            layer: layers::layer_of(reason),
            reason,
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("connections", &self.0.connections)
            .finish_non_exhaustive()
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Names for requests: unique, and no secret.
struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        Self {
            // Another one for every host.
            process: RandomState::new().hash_one(0),
            next: AtomicU64::new(1),
        }
    }

    fn next(&self) -> Option<RequestId> {
        let number = self.next.fetch_add(1, Relaxed);
        RequestId::new(format!("{:016x}-{number:x}", self.process).as_bytes())
    }
}

const UPKEEP: Duration = Duration::from_secs(5);
