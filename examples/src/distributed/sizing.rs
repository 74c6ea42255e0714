use std::{collections::BTreeMap, error::Error, fmt, time::Duration};

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use tower_plugin_ratelimit::{
    Cost, Policy,
    redis::{OnUnavailable, RedisLimiter},
};

use super::prefix;

/// What a decision costs Redis.
#[derive(Clone, Debug)]
pub struct Sizing {
    /// The version of the server.
    pub server: String,
    /// One for each number of quotas and size of a batch.
    pub rows: Vec<Row>,
    /// Bytes a record of one quota takes.
    pub bytes: u64,
}

/// Batches of one size.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Quotas of the policy.
    pub quotas: usize,
    /// Keys in a batch, on average.
    pub batch: f64,
    /// Microseconds of the server's processor for a decision.
    pub micros: f64,
}

/// Measures what a decision costs Redis in batches of several sizes, with about so many decisions for
/// each.
///
/// By the server's own reckoning (`INFO commandstats`), so nobody else should use it meanwhile. The
/// runtime must be of the current thread: on another, a batch leaves before it is complete.
///
/// # Errors
///
/// If there is no Redis at `url`, or it does not say what its commands cost.
pub async fn sizing(url: &str, decisions: usize) -> Result<Sizing, Box<dyn Error>> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let one = Policy::new("sizing", ["1000000/s".parse()?])?;
    let two = Policy::new("sizing", ["1000000/s".parse()?, "1000000000/d".parse()?])?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    for policy in [&one, &two] {
        for batch in [1, 16, 64, 128] {
            let prefix = prefix()?;
            let limiter = RedisLimiter::builder(url)
                .with_prefix(prefix.as_str())
                .with_lanes(1)
                .with_deadline(Duration::from_secs(10))
                .with_on_unavailable(OnUnavailable::Deny)
                .build()?;
            // The server learns the script, and the machine warms up.
            ask(&limiter, policy, batch, 2_000_usize.div_ceil(batch)).await?;
            let (before, known) = (spent(&mut connection).await?, limiter.stats());
            ask(&limiter, policy, batch, decisions.div_ceil(batch)).await?;
            let (after, stats) = (spent(&mut connection).await?, limiter.stats());
            let keys = (stats.batched_keys - known.batched_keys) as f64;
            rows.push(Row {
                quotas: policy.quotas().len(),
                batch: keys / (stats.batches - known.batches).max(1) as f64,
                micros: (after - before) / keys.max(1.0),
            });
            bytes = bytes.max(record(&mut connection, &limiter, &prefix).await?);
        }
    }
    let server = info(&mut connection, "server").await?;
    let server = server.get("redis_version").cloned().unwrap_or_default();
    Ok(Sizing {
        server,
        rows,
        bytes,
    })
}

async fn ask(
    limiter: &RedisLimiter,
    policy: &Policy,
    batch: usize,
    batches: usize,
) -> Result<(), Box<dyn Error>> {
    for number in 0..batches {
        // Keys that come again after a while, as clients do.
        let keys = (0..batch).map(|key| (number % 50, key));
        let decisions = keys.map(|key| limiter.check_key(policy, key, Cost::ONE));
        for decision in join_all(decisions).await {
            let _allowed = decision?.is_allowed();
        }
    }
    Ok(())
}

/// How large a record is that lives for a while.
async fn record(
    connection: &mut MultiplexedConnection,
    limiter: &RedisLimiter,
    prefix: &str,
) -> Result<u64, Box<dyn Error>> {
    let hourly = Policy::new("sizing", ["10/h".parse()?])?;
    let _owes = limiter.check_key(&hourly, "record", Cost::ONE).await?;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{prefix}*"))
        .query_async(connection)
        .await?;
    let mut largest = 0;
    for key in keys {
        let usage: Option<u64> = redis::cmd("MEMORY")
            .arg("USAGE")
            .arg(key)
            .query_async(connection)
            .await?;
        largest = largest.max(usage.unwrap_or_default());
    }
    Ok(largest)
}

/// Microseconds the server has spent on the script.
async fn spent(connection: &mut MultiplexedConnection) -> Result<f64, Box<dyn Error>> {
    let statistics = info(connection, "commandstats").await?;
    let mut micros = 0.0;
    for command in ["cmdstat_eval", "cmdstat_evalsha"] {
        // calls=1,usec=2,...
        let usec = statistics.get(command).and_then(|fields| {
            fields
                .split(',')
                .find_map(|field| field.strip_prefix("usec="))
        });
        micros += usec.map_or(Ok(0.0), str::parse)?;
    }
    Ok(micros)
}

async fn info(
    connection: &mut MultiplexedConnection,
    section: &str,
) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let text: String = redis::cmd("INFO")
        .arg(section)
        .query_async(connection)
        .await?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    Ok(fields
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect())
}

impl fmt::Display for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Redis {}: processor time of a decision; a record of one quota takes {} bytes.\n",
            self.server, self.bytes
        )?;
        writeln!(f, "| quotas | keys in a batch | us a decision |")?;
        writeln!(f, "|---|---|---|")?;
        for Row {
            quotas,
            batch,
            micros,
        } in &self.rows
        {
            writeln!(f, "| {quotas} | {batch:.1} | {micros:.1} |")?;
        }
        Ok(())
    }
}
