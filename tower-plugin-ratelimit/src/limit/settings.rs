use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Response, response};
use tower_plugin_core::{Rejection, RequestHead};

use super::{
    counters::{Counters, Event},
    headers::{LegacyHeaders, RateLimitHeaders},
    refusal::Refusals,
    source::PolicySource,
};
use crate::{Cost, Decision, Policy, key::MissingKey};

/// Whether requests over their quota are refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are decided about, counted and reported, and let through: to try a policy out.
    Observe,
}

/// What to do with a request that lacks what its quota is keyed by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnMissingKey {
    /// Answer 500 / INTERNAL and log once, as an error, what is missing: the server is misassembled.
    #[default]
    Refuse,
    /// Let all such requests share one quota.
    Share,
    /// Let the request pass without a limit.
    Skip,
}

/// When a request pays.
#[derive(Clone, Default)]
pub(super) enum Charging {
    /// When it comes.
    #[default]
    Always,
    /// When it comes, and it is paid back if the response is like this.
    RefundIf(OutcomeFn),
    /// When its response is like this.
    AfterIf(OutcomeFn),
}

pub(super) type OutcomeFn = Arc<dyn Fn(&response::Parts) -> bool + Send + Sync>;
pub(super) type CostFn = Arc<dyn Fn(&RequestHead<'_>) -> Cost + Send + Sync>;
pub(super) type FilterFn = Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;
pub(super) type ReportFn = Arc<dyn Fn(&Policy, &Decision) + Send + Sync>;
pub(super) type BodyFn = Arc<dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync>;

/// Who wants to know when little is left.
#[derive(Clone)]
pub(super) struct Threshold {
    pub(super) percent: u8,
    pub(super) report: ReportFn,
}

/// What the layer was told.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) source: PolicySource,
    pub(super) headers: RateLimitHeaders,
    pub(super) legacy: LegacyHeaders,
    pub(super) mode: Mode,
    pub(super) on_missing_key: OnMissingKey,
    pub(super) charging: Charging,
    pub(super) cost: Option<CostFn>,
    pub(super) filter: Option<FilterFn>,
    pub(super) body: Option<BodyFn>,
    pub(super) threshold: Option<Threshold>,
    pub(super) max_waiting: usize,
    pub(super) account: Arc<Account>,
    pub(super) refusals: Refusals,
}

/// What all services of a layer share and change.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) counters: Counters,
    pub(super) waiting: AtomicUsize,
    has_logged_missing_key: AtomicBool,
}

impl Account {
    /// Takes a place among those who wait, if there is one.
    pub(super) fn may_wait(&self, places: usize) -> bool {
        let take = |waiting| (waiting < places).then_some(waiting + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

impl Settings {
    pub(super) fn new(source: PolicySource) -> Self {
        Self {
            source,
            headers: RateLimitHeaders::default(),
            legacy: LegacyHeaders::default(),
            mode: Mode::default(),
            on_missing_key: OnMissingKey::default(),
            charging: Charging::default(),
            cost: None,
            filter: None,
            body: None,
            threshold: None,
            max_waiting: 1024,
            account: Arc::default(),
            refusals: Refusals::default(),
        }
    }

    #[inline]
    pub(super) fn applies_to(&self, request: &RequestHead<'_>) -> bool {
        self.filter.as_ref().is_none_or(|applies| applies(request))
    }

    #[inline]
    pub(super) fn cost_of(&self, request: &RequestHead<'_>) -> Cost {
        self.cost.as_ref().map_or(Cost::ONE, |cost| cost(request))
    }

    /// Whether anything remains to be done when the response is there.
    #[inline]
    pub(super) fn follows_up(&self) -> bool {
        self.headers == RateLimitHeaders::Always || !matches!(self.charging, Charging::Always)
    }

    #[inline]
    pub(super) fn count(&self, event: Event, policy: &Policy) {
        self.account.counters.count(event);
        #[cfg(feature = "metrics")]
        policy.counters().count(event);
        #[cfg(not(feature = "metrics"))]
        let _ = policy;
    }

    #[inline]
    pub(super) fn allowed(&self, policy: &Policy, decision: &Decision) {
        self.count(Event::Allowed, policy);
        if let Some(threshold) = &self.threshold
            && decision.used_percent() >= threshold.percent
        {
            (threshold.report)(policy, decision);
        }
    }

    pub(super) fn denied(&self, policy: &Policy, decision: &Decision) {
        self.count(Event::Denied, policy);
        tracing::debug!(policy = policy.name(), "request over its rate limit");
        if let Some(threshold) = &self.threshold {
            (threshold.report)(policy, decision);
        }
    }

    #[cold]
    pub(super) fn without_key(&self, policy: &Policy, missing: MissingKey) {
        self.count(Event::WithoutKey, policy);
        if self.on_missing_key == OnMissingKey::Refuse
            && !self.account.has_logged_missing_key.swap(true, Relaxed)
        {
            tracing::error!("refusing every request that cannot be limited: {missing}");
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("source", &self.source)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
