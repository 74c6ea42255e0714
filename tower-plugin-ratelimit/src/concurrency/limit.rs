use std::{fmt, time::Duration};

/// How many requests of one key may be in flight at once, and what becomes of the others.
///
/// ```
/// use tower_plugin_ratelimit::concurrency::Concurrency;
///
/// // Eight uploads for each key, and a thousand in all.
/// let uploads = Concurrency::per_key(8)?.with_name("uploads")?.with_total(1000)?;
/// # let _ = uploads;
/// # Ok::<_, tower_plugin_ratelimit::concurrency::InvalidConcurrency>(())
/// ```
#[derive(Clone, Debug)]
pub struct Concurrency {
    name: Box<str>,
    per_key: u32,
    total: usize,
    queue: u32,
    max_wait: Duration,
}

impl Concurrency {
    /// `max` requests of each key at once, the others refused, under the name `concurrency`.
    ///
    /// # Errors
    ///
    /// [`InvalidConcurrency::PerKey`] if `max` is 0.
    pub fn per_key(max: u32) -> Result<Self, InvalidConcurrency> {
        if max == 0 {
            return Err(InvalidConcurrency::PerKey);
        }
        Ok(Self {
            name: "concurrency".into(),
            per_key: max,
            total: usize::MAX,
            queue: 0,
            max_wait: Duration::ZERO,
        })
    }

    /// Names the limit for those who meet it.
    ///
    /// # Errors
    ///
    /// [`InvalidConcurrency::Name`] if `name` is not 1 to 64 printable ASCII characters without quotes
    /// and backslashes.
    pub fn with_name(mut self, name: impl Into<Box<str>>) -> Result<Self, InvalidConcurrency> {
        let name = name.into();
        let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(printable) {
            return Err(InvalidConcurrency::Name);
        }
        self.name = name;
        Ok(self)
    }

    /// Admits no more than `total` requests of all keys together, waiting ones included.
    ///
    /// # Errors
    ///
    /// [`InvalidConcurrency::Total`] if `total` is less than what one key may have.
    pub fn with_total(mut self, total: usize) -> Result<Self, InvalidConcurrency> {
        if total < self.per_key as usize {
            return Err(InvalidConcurrency::Total);
        }
        self.total = total;
        Ok(self)
    }

    /// Lets up to `length` requests of a key wait in line, each for up to `max_wait`, instead of being
    /// refused at once.
    ///
    /// A permit goes to whoever has waited longest. A request that gives up leaves the line; if it had
    /// been given a permit meanwhile, the next gets it. The inner service is held ready while a request
    /// waits.
    ///
    /// It takes Tokio's timer. Outside a Tokio runtime nobody waits; a runtime that was built without a
    /// timer panics.
    ///
    /// # Errors
    ///
    /// [`InvalidConcurrency::Queue`] if `length` is not in 1 to 65,536, [`InvalidConcurrency::MaxWait`]
    /// if `max_wait` is not in 1 ms to an hour.
    #[cfg(feature = "wait")]
    #[cfg_attr(docsrs, doc(cfg(feature = "wait")))]
    pub fn with_queue(
        mut self,
        length: u32,
        max_wait: Duration,
    ) -> Result<Self, InvalidConcurrency> {
        if !(1..=1 << 16).contains(&length) {
            return Err(InvalidConcurrency::Queue);
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&max_wait) {
            return Err(InvalidConcurrency::MaxWait);
        }
        self.queue = length;
        self.max_wait = max_wait;
        Ok(self)
    }

    /// What those who meet the limit are told.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many requests of one key may be in flight at once.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.per_key
    }

    /// How many requests of all keys there may be, waiting ones included; `usize::MAX` without a bound.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// How many requests of one key may wait.
    #[must_use]
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// How long they may.
    #[must_use]
    pub const fn max_wait(&self) -> Duration {
        self.max_wait
    }
}

/// A concurrency limit that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidConcurrency {
    /// The longest wait is out of range.
    MaxWait,
    /// The name cannot be sent to clients.
    Name,
    /// No request of a key may be in flight.
    PerKey,
    /// The length of the queue is out of range.
    Queue,
    /// The total is less than what one key may have.
    Total,
}

impl fmt::Display for InvalidConcurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxWait => "concurrency: max_wait must be in 1 ms to 1 h",
            Self::Name => {
                "concurrency: name must be 1 to 64 printable ASCII characters without quotes and backslashes"
            }
            Self::PerKey => "concurrency: max per key must be in 1 to 4294967295",
            Self::Queue => "concurrency: queue length must be in 1 to 65536",
            Self::Total => "concurrency: total must be at least the max per key",
        })
    }
}

impl std::error::Error for InvalidConcurrency {}
