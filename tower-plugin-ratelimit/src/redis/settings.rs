use std::{fmt, sync::Arc, time::Duration};

use redis::Client;
use tower_plugin_core::{Clock, SystemClock};

use super::{OnUnavailable, RedisLimiter, link::Server};

/// Settings of a [`RedisLimiter`], checked by [`build`](Self::build).
#[must_use]
pub struct RedisLimiterBuilder {
    pub(super) server: Result<Server, InvalidRedisConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) headroom: u8,
    pub(super) deadline: Duration,
    pub(super) on_unavailable: OnUnavailable,
    pub(super) prefix: String,
    pub(super) secret: [u8; 16],
    pub(super) lanes: usize,
    pub(super) queue: usize,
    pub(super) local_keys: usize,
    pub(super) brings_time: bool,
}

impl RedisLimiterBuilder {
    fn new(server: Result<Server, InvalidRedisConfig>, lanes: usize) -> Self {
        Self {
            server,
            clock: Arc::new(SystemClock::new()),
            headroom: 0,
            deadline: Duration::from_millis(50),
            on_unavailable: OnUnavailable::default(),
            prefix: "tp:rl:".to_owned(),
            secret: *b"tower-plugin key",
            lanes,
            queue: 1 << 16,
            local_keys: 1 << 14,
            brings_time: false,
        }
    }

    pub(super) fn one(url: &str) -> Self {
        #[cfg(feature = "redis-tls")]
        super::tls::prepare([url]);
        let client = Client::open(url).map(Server::One);
        Self::new(client.map_err(|_| InvalidRedisConfig::url()), 3)
    }

    #[cfg(feature = "redis-cluster")]
    pub(super) fn cluster(urls: Vec<String>) -> Self {
        #[cfg(feature = "redis-tls")]
        super::tls::prepare(urls.iter().map(String::as_str));
        let client = redis::cluster::ClusterClient::builder(urls)
            // A script that runs twice loses units; it need not run sixteen times.
            .retries(2)
            // Milliseconds. Its own, of over a second, is longer than a probe waits.
            .min_retry_wait(20)
            .max_retry_wait(200)
            .connection_timeout(PATIENCE)
            .response_timeout(PATIENCE)
            .build();
        let server = client.map(|client| Server::Cluster(Box::new(client)));
        Self::new(server.map_err(|_| InvalidRedisConfig::url()), 16)
    }

    #[cfg(feature = "redis-sentinel")]
    pub(super) fn sentinel(urls: Vec<String>, primary: String) -> Self {
        #[cfg(feature = "redis-tls")]
        super::tls::prepare(urls.iter().map(String::as_str));
        let client = redis::sentinel::SentinelClient::build(
            urls,
            primary,
            None,
            redis::sentinel::SentinelServerType::Master,
        );
        let server = client.map(|client| Server::Sentinel(tokio::sync::Mutex::new(client)));
        Self::new(server.map_err(|_| InvalidRedisConfig::url()), 3)
    }

    /// Leases up to `percent` of a policy's smallest burst to replicas, which then decide by
    /// themselves: 1 to 50; 5 is a good start. Without this every admission is asked for.
    ///
    /// That much is taken off the burst of every key. Policies where it is less than two units, or
    /// that count by the calendar, are asked for all the same. Replicas with different percentages may
    /// exceed a quota by the largest.
    pub fn with_leases(mut self, percent: u8) -> Self {
        // 0 says that there are none, and is refused when built if it was asked for.
        self.headroom = if percent == 0 { u8::MAX } else { percent };
        self
    }

    /// How long a request waits for Redis before [`OnUnavailable`] decides: 1 ms to 10 s, 50 ms by
    /// default. It is met but for an eighth of it.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What to do when Redis cannot decide: [`OnUnavailable::Local`] for two replicas by default.
    pub fn with_on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.on_unavailable = on_unavailable;
        self
    }

    /// What the names of all keys begin with, `tp:rl:` by default: 1 to 64 bytes without `{` and `}`.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Hashes keys under a secret that all replicas share.
    ///
    /// Without one they are hashed all the same; but who can read Redis, and guess a key such as an
    /// address, can then check the guess.
    pub fn with_key_secret(mut self, secret: [u8; 16]) -> Self {
        self.secret = secret;
        self
    }

    /// How many batches may be under way at once, each for its share of the keys: 1 to 256, by default 3,
    /// and 16 in a cluster.
    ///
    /// In a cluster a lane's keys lie on one node, so all replicas need the same number.
    pub fn with_lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many requests may wait for Redis at once: 1 to 2^24, by default 65,536. Beyond that,
    /// [`OnUnavailable`] decides.
    pub fn with_queue(mut self, requests: usize) -> Self {
        self.queue = requests;
        self
    }

    /// Of how many keys leases and denials are remembered, in about 250 bytes each: 1 to 2^24, by
    /// default 16,384. The busiest are.
    pub fn with_local_keys(mut self, keys: usize) -> Self {
        self.local_keys = keys;
        self
    }

    /// Takes the time from the replicas rather than from Redis, for servers whose scripts may not ask
    /// for it.
    ///
    /// Then a quota may be exceeded by what comes back while two replicas' clocks are apart.
    pub fn with_replica_time(mut self) -> Self {
        self.brings_time = true;
        self
    }

    /// Where it reads the time; tests hand in a [`ManualClock`](tower_plugin_core::ManualClock).
    ///
    /// Deadlines go by Tokio's clock too.
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings and starts the limiter's tasks.
    ///
    /// It connects when it is first asked, or by [`RedisLimiter::connected`]. Its tasks run on the Tokio runtime
    /// it is called in, and end when the last clone of the limiter is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisConfig`] names the setting that is out of range; or if there is no runtime.
    pub fn build(self) -> Result<RedisLimiter, InvalidRedisConfig> {
        let checks = [
            (matches!(self.headroom, 0..=50), "leases", "1 to 50 percent"),
            (
                (Duration::from_millis(1)..=Duration::from_secs(10)).contains(&self.deadline),
                "deadline",
                "1 ms to 10 s",
            ),
            (
                matches!(self.prefix.len(), 1..=64) && !self.prefix.contains(['{', '}']),
                "prefix",
                "1 to 64 bytes without braces",
            ),
            ((1..=256).contains(&self.lanes), "lanes", "1 to 256"),
            ((1..=1 << 24).contains(&self.queue), "queue", "1 to 2^24"),
            (
                (1..=1 << 24).contains(&self.local_keys),
                "local_keys",
                "1 to 2^24",
            ),
            (
                match self.on_unavailable {
                    OnUnavailable::Allow | OnUnavailable::Deny => true,
                    OnUnavailable::Floor { percent, replicas } => {
                        matches!(percent, 1..=90) && replicas > 0
                    }
                    OnUnavailable::Local { replicas } => replicas > 0,
                },
                "on_unavailable",
                "at least 1 replica, and 1 to 90 percent",
            ),
        ];
        for (holds, field, allowed) in checks {
            if !holds {
                return Err(InvalidRedisConfig { field, allowed });
            }
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| InvalidRedisConfig {
            field: "runtime",
            allowed: "Tokio's, entered",
        })?;
        RedisLimiter::start(self, &runtime)
    }
}

impl fmt::Debug for RedisLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the address, which may carry a password, nor the secret.
        f.debug_struct("RedisLimiterBuilder")
            .field("headroom", &self.headroom)
            .field("deadline", &self.deadline)
            .field("on_unavailable", &self.on_unavailable)
            .field("prefix", &self.prefix)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

/// A setting that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidRedisConfig {
    field: &'static str,
    allowed: &'static str,
}

impl InvalidRedisConfig {
    const fn url() -> Self {
        Self {
            field: "url",
            allowed: "redis://, rediss:// or redis+unix://, and the feature it needs",
        }
    }

    pub(super) const fn local_keys() -> Self {
        Self {
            field: "local_keys",
            allowed: "1 to 2^24",
        }
    }

    pub(super) const fn randomness() -> Self {
        Self {
            field: "replica id",
            allowed: "drawn at random, and there is no randomness",
        }
    }

    /// Which setting.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// What it must be.
    #[must_use]
    pub const fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for InvalidRedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis limiter: {} must be {}", self.field, self.allowed)
    }
}

impl std::error::Error for InvalidRedisConfig {}

/// How long a call may take before the connection is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
