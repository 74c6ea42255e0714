use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use tower_plugin_core::{Clock, SystemClock};

use super::{
    Pacer, Throttle,
    line::{Line, Settings},
};
use crate::{Quota, Rule, gcra::Gcra};

/// Holds requests back until they may be sent.
///
/// All services made by a layer and its clones form one line: make a layer per server that is called.
/// See the [module docs](super::super) for an example and for what slows it down.
#[must_use]
pub struct ThrottleLayer {
    quota: Gcra,
    settings: Settings,
    line: Arc<Line>,
}

impl ThrottleLayer {
    /// Sends as much as `quota` allows, and spreads what comes faster.
    ///
    /// Its burst is sent at once: `10/s:1` is one every 100 ms, `10/s` ten and then one every 100 ms.
    /// Timers tick in milliseconds, so above 1000 a second allow a burst that covers some of them. A
    /// calendar quota is spread evenly over its period.
    pub fn new(quota: Quota) -> Self {
        Self::with_gcra(match quota.rule() {
            Rule::Gcra(gcra) => gcra,
            Rule::Calendar(_) => {
                let nanos = u64::try_from(quota.period().as_nanos()).unwrap_or(u64::MAX);
                // A month and a count of at least 1: the fallback never shows.
                Gcra::new(nanos.div_ceil(quota.count().into()), 1).unwrap_or(TEN_PER_SECOND)
            }
        })
    }

    fn with_gcra(quota: Gcra) -> Self {
        let settings = Settings {
            pacer: Pacer::new(quota, LOW_WATER),
            max_waiting: 256,
            max_wait: Duration::from_secs(30),
            clock: Arc::new(SystemClock::new()),
        };
        Self {
            quota,
            line: Arc::new(Line::new(settings.clone())),
            settings,
        }
    }

    /// Sets how many requests may wait, 256 by default; more are refused.
    pub fn with_max_waiting(self, requests: u16) -> Self {
        self.set(|settings| settings.max_waiting = requests.into())
    }

    /// Sets how long a request may wait, 30 s by default; one that would take longer is refused at
    /// once, or as soon as the server says what makes it so long.
    pub fn with_max_wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.max_wait = wait)
    }

    /// Sets how many units the server must have left, 10 by default, for its `RateLimit` to be of no
    /// concern. At that many or fewer, they are spread over the time until there are more.
    pub fn with_low_water(self, units: u32) -> Self {
        let pacer = Pacer::new(self.quota, units.into());
        self.set(|settings| settings.pacer = pacer)
    }

    /// Sets the clock that the quota is measured with; it must run as fast as Tokio's.
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        self.set(|settings| settings.clock = Arc::new(clock))
    }

    /// A layer that is set up differently has a line of its own.
    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self.line = Arc::new(Line::new(self.settings.clone()));
        self
    }
}

/// Ten a second, evenly spaced.
impl Default for ThrottleLayer {
    fn default() -> Self {
        Self::with_gcra(TEN_PER_SECOND)
    }
}

impl Clone for ThrottleLayer {
    fn clone(&self) -> Self {
        Self {
            quota: self.quota,
            settings: self.settings.clone(),
            line: Arc::clone(&self.line),
        }
    }
}

impl<S> Layer<S> for ThrottleLayer {
    type Service = Throttle<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Throttle::new(inner, Arc::clone(&self.line))
    }
}

impl fmt::Debug for ThrottleLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("quota", &self.quota)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

const LOW_WATER: u64 = 10;

const TEN_PER_SECOND: Gcra = match Gcra::new(100_000_000, 1) {
    Some(quota) => quota,
    // Found out when this is compiled.
    None => unreachable!(),
};
