//! What one does without us: a script for each request; and what Redis can do at most: our script, in
//! full batches that are ready before they are needed.

use std::time::Duration;

use redis::{Cmd, Script, aio::MultiplexedConnection};

/// GCRA by the clock of the server, for one key and one unit: what a limiter on Redis usually runs.
const ONE_KEY: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
if tat + interval - now > burst * interval then return {0, tat + interval - now - burst * interval} end
tat = tat + interval
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
return {1, math.floor((burst * interval - (tat - now)) / interval)}";

/// One `EVALSHA` for each decision; loaded before the first.
pub(super) struct OneByOne(Script);

impl OneByOne {
    pub(super) fn new() -> Self {
        Self(Script::new(ONE_KEY))
    }

    /// 1,000,000 a second, and as many at once.
    pub(super) async fn decide(&self, connection: &mut MultiplexedConnection, key: &str) -> bool {
        let mut call = self.0.key(key);
        let answer: redis::RedisResult<(u8, u64)> =
            call.arg(1).arg(1_000_000).invoke_async(connection).await;
        answer.expect("a decision").0 == 1
    }
}

/// Our script with full batches.
pub(super) struct Batches {
    command: Cmd,
}

impl Batches {
    pub(super) const KEYS: u64 = 128;

    pub(super) fn new(number: u64) -> Self {
        let script = include_str!("../../../../tower-plugin-ratelimit/src/redis/script.lua");
        let mut batch = Vec::new();
        let double = |to: &mut Vec<u8>, number: f64| to.extend(number.to_le_bytes());
        // The clock is the server's, the replica is 0, and there is one policy of one quota, nothing of
        // which is leased: 1,000,000 a second.
        double(&mut batch, 0.0);
        batch.extend([0; 8]);
        batch.extend([1, 1]);
        batch.extend(0_u32.to_le_bytes());
        double(&mut batch, 0.0);
        batch.push(0);
        for part in [1.0, 1.0, 1e6, 1e6, 1e6] {
            double(&mut batch, part);
        }
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(Self::KEYS);
        for key in 0..Self::KEYS {
            command.arg(format!("tp:rl:{:032x}", number * Self::KEYS + key));
            // One check of one unit.
            batch.push(1);
            double(&mut batch, 0.0);
            double(&mut batch, 0.0);
            batch.extend([0; 8]);
            batch.extend([0, 1, 1]);
            batch.extend(1_u32.to_le_bytes());
            batch.extend(1_u32.to_le_bytes());
        }
        command.arg(batch);
        Self { command }
    }

    pub(super) async fn decide(&self, connection: &mut MultiplexedConnection) {
        let answer: redis::RedisResult<Vec<u8>> = self.command.query_async(connection).await;
        let answer = answer.expect("decisions");
        // The time, and for each key: how often it fits, what is owed, what is leased.
        assert_eq!(answer.len() as u64, 8 + Self::KEYS * 16);
    }
}

/// One connection, with as many calls under way as there are.
pub(super) async fn connect(server: &super::Server) -> MultiplexedConnection {
    let config =
        redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
    let client = server.client();
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    connecting.await.expect("a connection")
}
