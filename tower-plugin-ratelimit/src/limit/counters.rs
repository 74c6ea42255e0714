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
#[derive(Debug, Default)]
pub(super) struct Counters {
    stripes: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    events: [AtomicU64; 5],
}

impl Counters {
    #[inline]
    pub(super) fn count(&self, event: Event) {
        let stripe = self.stripes.get(stripe_of_this_thread());
        if let Some(count) = stripe.and_then(|stripe| stripe.events.get(event as usize)) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn read(&self) -> Counts {
        let sum = |event: Event| {
            let counts = self
                .stripes
                .iter()
                .filter_map(|s| s.events.get(event as usize));
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

#[inline]
fn stripe_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(NEXT.fetch_add(1, Relaxed) % STRIPES);
        }
        stripe.get()
    })
}

const STRIPES: usize = 8;
