//! How long requests take: a histogram of a fixed size, which nobody has to empty.

use std::{
    fmt::{self, Write},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use http::Response;
use tower_plugin_core::Rejection;

/// By what was asked for and what came of it.
#[derive(Debug, Default)]
pub(super) struct Latencies([[Cell; OUTCOMES.len()]; CLASSES.len()]);

#[derive(Debug, Default)]
struct Cell {
    // The last is for what takes longer than all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    /// No route.
    None,
    Admin,
    Broker,
    Capability,
    Handshake,
    Health,
    /// A route of the operator's.
    Own,
    Probe,
    Registry,
    Rotate,
    Service,
    Watch,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Served,
    Refused,
    Failed,
}

impl Latencies {
    /// Three additions, and none of them waits.
    pub(super) fn record(&self, route: Option<&str>, outcome: Outcome, nanos: u64) {
        let cell = self.0.get(Class::of(route) as usize);
        let Some(cell) = cell.and_then(|outcomes| outcomes.get(outcome as usize)) else {
            return;
        };
        let place = BOUNDS.iter().position(|(bound, _)| nanos <= *bound);
        if let Some(bucket) = cell.buckets.get(place.unwrap_or(BOUNDS.len())) {
            bucket.fetch_add(1, Relaxed);
        }
        cell.nanos.fetch_add(nanos, Relaxed);
    }

    /// In Prometheus' text format.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Nothing fails that is written to a string.
        let _infallible = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "# HELP {NAME} Time until the head of the answer was there, by what was asked for and what came of it."
        )?;
        writeln!(text, "# TYPE {NAME} histogram")?;
        for (class, outcomes) in CLASSES.iter().zip(&self.0) {
            for (outcome, cell) in OUTCOMES.iter().zip(outcomes) {
                cell.write(text, &format!("class=\"{class}\",outcome=\"{outcome}\""))?;
            }
        }
        Ok(())
    }
}

impl Cell {
    fn write(&self, text: &mut String, labels: &str) -> fmt::Result {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return Ok(());
        }
        let mut until = 0;
        for ((_, bound), count) in BOUNDS.iter().zip(counts) {
            until += count;
            writeln!(text, "{NAME}_bucket{{{labels},le=\"{bound}\"}} {until}")?;
        }
        writeln!(text, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {all}")?;
        let seconds = self.nanos.load(Relaxed) as f64 / 1e9;
        writeln!(text, "{NAME}_sum{{{labels}}} {seconds}")?;
        writeln!(text, "{NAME}_count{{{labels}}} {all}")
    }
}

impl Outcome {
    /// As far as the head of an answer tells: what a stream ends with comes later.
    pub(super) fn of<B>(response: &Response<B>) -> Self {
        let status = match response.extensions().get::<Rejection>() {
            Some(rejection) => rejection.status(),
            None => response.status(),
        };
        // gRPC says 200 to everything.
        let grpc = response.headers().get("grpc-status");
        let grpc = grpc.and_then(|code| code.to_str().ok()?.parse::<u8>().ok());
        match grpc {
            _ if status.is_server_error() => Self::Failed,
            _ if status.is_client_error() => Self::Refused,
            None | Some(0) => Self::Served,
            // Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
            Some(2 | 4 | 12..=15) => Self::Failed,
            Some(_) => Self::Refused,
        }
    }
}

impl Class {
    /// Of a route's template: nothing a caller writes.
    fn of(route: Option<&str>) -> Self {
        let Some(route) = route else {
            return Self::None;
        };
        match route.strip_prefix("/broker").unwrap_or(route) {
            "/" => Self::Admin,
            "/healthz" | "/metrics" | "/readyz" => Self::Probe,
            "/rotate" => Self::Rotate,
            "/connectplugin.health.v1.HealthService/Watch"
            | "/connectplugin.v1.ServiceRegistry/WatchService" => Self::Watch,
            path => {
                let mut prefixes = PREFIXES.iter();
                let of_prefix = prefixes.find(|(prefix, _)| path.starts_with(prefix));
                of_prefix.map_or(Self::Own, |(_, class)| *class)
            }
        }
    }
}

const NAME: &str = "plugin_host_request_seconds";
const PREFIXES: [(&str, Class); 8] = [
    ("/admin/", Class::Admin),
    ("/capabilities/", Class::Capability),
    ("/connectplugin.health.v1.", Class::Health),
    ("/connectplugin.v1.CapabilityBroker/", Class::Broker),
    ("/connectplugin.v1.HandshakeService/", Class::Handshake),
    ("/connectplugin.v1.PluginLifecycle/", Class::Health),
    ("/connectplugin.v1.ServiceRegistry/", Class::Registry),
    ("/services/", Class::Service),
];
/// In the order of [`Class`].
const CLASSES: [&str; 12] = [
    "none",
    "admin",
    "broker",
    "capability",
    "handshake",
    "health",
    "own",
    "probe",
    "registry",
    "rotate",
    "service",
    "watch",
];
/// In the order of [`Outcome`].
const OUTCOMES: [&str; 3] = ["served", "refused", "failed"];
/// In nanoseconds, and in seconds as they are written.
const BOUNDS: [(u64, &str); 11] = [
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1"),
    (5_000_000_000, "5"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_class_and_what_a_caller_writes_makes_none() {
        for (route, class) in [
            (None, "none"),
            (Some("/"), "admin"),
            (Some("/admin/tokens/{who}/revoke"), "admin"),
            (
                Some("/broker/connectplugin.v1.CapabilityBroker/RequestCapability"),
                "broker",
            ),
            (
                Some("/capabilities/logger/{grant_id}/{*call}"),
                "capability",
            ),
            (
                Some("/connectplugin.health.v1.HealthService/Check"),
                "health",
            ),
            (
                Some("/connectplugin.health.v1.HealthService/Watch"),
                "watch",
            ),
            (
                Some("/connectplugin.v1.CapabilityBroker/RequestCapability"),
                "broker",
            ),
            (
                Some("/connectplugin.v1.HandshakeService/Handshake"),
                "handshake",
            ),
            (
                Some("/connectplugin.v1.PluginLifecycle/ReportHealth"),
                "health",
            ),
            (
                Some("/connectplugin.v1.ServiceRegistry/DiscoverService"),
                "registry",
            ),
            (
                Some("/connectplugin.v1.ServiceRegistry/WatchService"),
                "watch",
            ),
            (Some("/metrics"), "probe"),
            (Some("/readyz"), "probe"),
            (Some("/rotate"), "rotate"),
            (Some("/services/{*call}"), "service"),
            (Some("/whatever"), "own"),
        ] {
            assert_eq!(CLASSES[Class::of(route) as usize], class, "{route:?}");
        }
    }

    #[test]
    fn an_answer_is_what_its_head_says_in_every_protocol() {
        for (status, grpc, expected) in [
            (200, None, Outcome::Served),
            (204, Some("0"), Outcome::Served),
            (302, None, Outcome::Served),
            (404, None, Outcome::Refused),
            (429, None, Outcome::Refused),
            (503, None, Outcome::Failed),
            (200, Some("16"), Outcome::Refused),
            (200, Some("8"), Outcome::Refused),
            (200, Some("14"), Outcome::Failed),
            (200, Some("13"), Outcome::Failed),
        ] {
            let mut response = Response::builder().status(status);
            if let Some(code) = grpc {
                response = response.header("grpc-status", code);
            }
            let response = response.body(()).unwrap();
            assert_eq!(Outcome::of(&response), expected, "{status} {grpc:?}");
        }
    }

    #[test]
    fn each_bucket_counts_what_took_no_longer_than_its_bound() {
        let latencies = Latencies::default();
        assert_eq!(
            latencies.render().lines().count(),
            2,
            "what did not happen takes no room"
        );
        for nanos in [0, 500_000, 500_001, 5_000_000, 5_000_001, 5_000_000_001] {
            latencies.record(Some("/rotate"), Outcome::Refused, nanos);
        }
        latencies.record(None, Outcome::Failed, 7);
        let text = latencies.render();
        let value = |series: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(series));
            line.unwrap_or_else(|| panic!("{series}\n{text}"))
                .trim()
                .to_owned()
        };
        let of = r#"class="rotate",outcome="refused""#;
        for (bound, count) in [
            ("0.0005", "2"),
            ("0.001", "3"),
            ("0.005", "4"),
            ("0.01", "5"),
            ("5", "5"),
            ("+Inf", "6"),
        ] {
            let series = format!("{NAME}_bucket{{{of},le=\"{bound}\"}}");
            assert_eq!(value(&series), count, "{bound}");
        }
        assert_eq!(value(&format!("{NAME}_count{{{of}}}")), "6");
        assert_eq!(value(&format!("{NAME}_sum{{{of}}}")), "5.011000003");
        assert_eq!(
            value(&format!(
                "{NAME}_count{{class=\"none\",outcome=\"failed\"}}"
            )),
            "1"
        );
        // All there can ever be.
        assert!(CLASSES.len() * OUTCOMES.len() * (BOUNDS.len() + 3) < 600);
    }
}
