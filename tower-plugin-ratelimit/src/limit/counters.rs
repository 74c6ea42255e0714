use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// How often a layer decided what, since it was made.
///
/// In [`Mode::Observe`](crate::Mode::Observe) requests that count as denied were let through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests within their quotas.
    pub allowed: u64,
    /// Requests over a quota, or with too little patience or room to wait for it.
    pub denied: u64,
    /// Of those allowed: requests that had to wait first.
    pub waited: u64,
    /// Requests the limiter could not decide about.
    pub undecided: u64,
    /// Requests that lacked what their quota is keyed by.
    pub without_key: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Allowed,
    Denied,
    Waited,
    Undecided,
    WithoutKey,
}

/// The counters of one policy in the `metrics` facade.
#[cfg(feature = "metrics")]
#[derive(Debug)]
pub(crate) struct EventCounters([metrics::Counter; 5]);

#[cfg(feature = "metrics")]
impl EventCounters {
    /// One label value for each policy and event: both are the operator's, so they are bounded.
    pub(crate) fn new(policy: std::sync::Arc<str>) -> Self {
        let policy = metrics::SharedString::from_shared(policy);
        // In the order of `Event`.
        let events = ["allowed", "denied", "waited", "undecided", "without_key"];
        Self(events.map(|event| {
            metrics::counter!(
                "tower_plugin_ratelimit_requests_total",
                "policy" => policy.clone(),
                "event" => event
            )
        }))
    }

    pub(super) fn count(&self, event: Event) {
        if let Some(counter) = self.0.get(event as usize) {
            counter.increment(1);
        }
    }
}

/// Counts on a line of memory for each of a few threads, so that they do not wait for each other's.
///
/// The first threads of the process that count have a line to themselves, for good: nobody else writes there,
/// so that they need no locked addition. All others share what is left.
#[derive(Debug, Default)]
pub(super) struct Counters {
    own: [Stripe; STRIPES],
    shared: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    events: [AtomicU64; 5],
}

impl Stripe {
    #[inline]
    fn add(&self, event: Event, add: impl FnOnce(&AtomicU64)) {
        if let Some(count) = self.events.get(event as usize) {
            add(count);
        }
    }
}

impl Counters {
    #[inline]
    pub(super) fn count(&self, event: Event) {
        let thread = number_of_this_thread();
        if let Some(own) = self.own.get(thread) {
            own.add(event, |count| {
                count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
            });
        } else if let Some(shared) = self.shared.get(thread % STRIPES) {
            shared.add(event, |count| {
                count.fetch_add(1, Relaxed);
            });
        }
    }

    pub(super) fn read(&self) -> Counts {
        let sum = |event: Event| {
            let stripes = self.own.iter().chain(&self.shared);
            let counts = stripes.filter_map(|stripe| stripe.events.get(event as usize));
            counts.map(|count| count.load(Relaxed)).sum()
        };
        Counts {
            allowed: sum(Event::Allowed),
            denied: sum(Event::Denied),
            waited: sum(Event::Waited),
            undecided: sum(Event::Undecided),
            without_key: sum(Event::WithoutKey),
        }
    }
}

/// In the order in which threads count first. No two have the same.
#[inline]
fn number_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Relaxed));
        }
        number.get()
    })
}

const STRIPES: usize = 8;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_count_of_any_thread_is_lost() {
        let counters = Counters::default();
        let threads = 3 * STRIPES;
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..1_000).for_each(|_| counters.count(Event::Allowed)));
            }
        });
        let counts = counters.read();
        assert_eq!(counts.allowed, 1_000 * threads as u64);
        assert_eq!((counts.denied, counts.waited), (0, 0));
    }
}
