//! Two servers, one Redis: what each of them admits, and what Redis has to do for it.
//!
//! [`compare`] is the program `distributed`; [`sizing`] is what it does when asked for figures.

use std::{error::Error, fmt, net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{net::TcpListener, task::JoinSet};
use tower_plugin_ratelimit::{
    Clock, Quota, RateLimitLayer, SystemClock, key,
    redis::{OnUnavailable, RedisLimiter, RedisLimiterBuilder, RedisStats},
};

mod sizing;

pub use sizing::{Row, Sizing, sizing};

/// What a burst of requests came to, in each mode.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What both servers limit by together.
    pub quota: Quota,
    /// Asking Redis for every admission.
    pub exact: Outcome,
    /// With a twentieth of the burst on lease.
    pub leased: Outcome,
}

/// What a burst of requests to both servers came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many requests there were.
    pub requests: u64,
    /// How many of them each server admitted.
    pub admitted: [u64; 2],
    /// How many the quota allows in the time they took.
    pub allowed: u64,
    /// How long they took.
    pub took: Duration,
    /// What the two limiters say of it, summed up.
    pub stats: RedisStats,
}

/// Sends `requests` to each of two servers that limit by one quota, asking Redis for every admission and
/// then with leases.
///
/// # Errors
///
/// If there is no Redis at `url`, or no port to listen on.
pub async fn compare(url: &str, requests: u64) -> Result<Comparison, Box<dyn Error>> {
    let quota = Quota::per_second(PER_SECOND)?.allow_burst(BURST)?;
    let exact = burst(url, quota, requests, |builder| builder).await?;
    let leased = burst(url, quota, requests, |builder| builder.with_leases(5)).await?;
    Ok(Comparison {
        quota,
        exact,
        leased,
    })
}

async fn burst(
    url: &str,
    quota: Quota,
    requests: u64,
    mode: impl Fn(RedisLimiterBuilder) -> RedisLimiterBuilder,
) -> Result<Outcome, Box<dyn Error>> {
    // Names of its own, so that every run starts with a full burst.
    let prefix = prefix()?;
    let mut limiters = Vec::new();
    let mut servers = JoinSet::new();
    let mut addresses = Vec::new();
    for _ in 0..2 {
        // A server of its own could be in another process, on another machine: only Redis is shared.
        let limiter = mode(RedisLimiter::builder(url).with_prefix(prefix.as_str()))
            // Whatever Redis does not decide is refused, so that the table shows what Redis decided.
            .with_on_unavailable(OnUnavailable::Deny)
            .with_deadline(Duration::from_secs(1))
            .build()?;
        limiter.connected().await?;
        let layer = RateLimitLayer::with_limiter(limiter.clone(), quota, key::Global);
        let app = Router::new().route("/", get("hello\n")).layer(layer);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        servers.spawn(async move { axum::serve(listener, app).await });
        limiters.push(limiter);
    }

    let clock = SystemClock::new();
    let started = clock.monotonic_nanos();
    let mut clients = JoinSet::new();
    for (server, address) in addresses.into_iter().enumerate() {
        for client in 0..CLIENTS {
            let share = requests / CLIENTS + u64::from(client < requests % CLIENTS);
            clients.spawn(async move { (server, ask(address, share).await) });
        }
    }
    let mut admitted = [0, 0];
    while let Some(client) = clients.join_next().await {
        let (server, count) = client?;
        let count = count.map_err(|error| error.to_string())?;
        if let Some(admitted) = admitted.get_mut(server) {
            *admitted += count;
        }
    }
    let took = Duration::from_nanos(clock.monotonic_nanos() - started);

    let mut stats = RedisStats::default();
    for limiter in &limiters {
        let more = limiter.stats();
        stats.allowed_locally += more.allowed_locally;
        stats.denied_locally += more.denied_locally;
        stats.asked += more.asked;
        stats.batches += more.batches;
        stats.unavailable += more.unavailable;
    }
    Ok(Outcome {
        requests: 2 * requests,
        admitted,
        allowed: u64::from(BURST) + (took.as_secs_f64() * f64::from(PER_SECOND)) as u64,
        took,
        stats,
    })
}

/// How many of the requests are admitted.
async fn ask(address: SocketAddr, requests: u64) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri: http::Uri = format!("http://{address}/").parse()?;
    let mut admitted = 0;
    for _ in 0..requests {
        let response = client.get(uri.clone()).await?;
        admitted += u64::from(response.status() == StatusCode::OK);
        // Read to its end, so that the connection can be used again.
        response.into_body().collect().await?;
    }
    Ok(admitted)
}

fn prefix() -> Result<String, Box<dyn Error>> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    Ok(format!("tp:example:{:016x}:", u64::from_le_bytes(random)))
}

impl Outcome {
    /// What both servers admitted.
    #[must_use]
    pub fn together(&self) -> u64 {
        self.admitted.iter().sum()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Two servers, one quota: {}. {} requests to each, all at once.\n",
            self.quota,
            self.exact.requests / 2
        )?;
        writeln!(
            f,
            "| mode | server 1 admits | server 2 admits | together | allowed at most | admitted without asking | denied without asking | calls to Redis |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for (mode, outcome) in [("exact", &self.exact), ("leased", &self.leased)] {
            let [one, two] = outcome.admitted;
            let together = outcome.together();
            let denied = outcome.requests - together;
            let share = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
            writeln!(
                f,
                "| {mode} | {one} | {two} | {together} | {} in {:.2} s | {:.0} % | {:.0} % | {} |",
                outcome.allowed,
                outcome.took.as_secs_f64(),
                share(outcome.stats.allowed_locally, together),
                share(outcome.stats.denied_locally, denied),
                outcome.stats.batches,
            )?;
        }
        Ok(())
    }
}

const PER_SECOND: u32 = 1_000;
const BURST: u32 = 2_000;
/// For each server; each has one request under way.
const CLIENTS: u64 = 16;
