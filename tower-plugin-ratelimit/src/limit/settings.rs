use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, request::Parts};
use tower_plugin_core::{Answer, Code, Rejection};

use super::headers::{self, RateLimitHeaders};
use crate::{Cost, Decision, Limiter, Policy, Unavailable, Verdict, key::MissingKey};

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

/// What the layer was told, shared by all its services.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) policy_header: HeaderValue,
    pub(super) headers: RateLimitHeaders,
    pub(super) on_missing_key: OnMissingKey,
    has_logged_missing_key: AtomicBool,
}

/// What happens to a request before anything is known of the inner service.
pub(super) enum Plan<F> {
    Admit(Option<Decision>),
    Ask(F),
    Refuse(Rejection),
}

impl Settings {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy_header: headers::policy(&policy),
            policy,
            headers: RateLimitHeaders::default(),
            on_missing_key: OnMissingKey::default(),
            has_logged_missing_key: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(super) fn plan<L: Limiter>(
        &self,
        limiter: &L,
        key: &impl crate::key::Key,
        parts: &Parts,
    ) -> Plan<L::Future> {
        let mut hasher = limiter.hasher(&self.policy);
        if let Err(missing) = key.key(parts, &mut hasher) {
            match self.on_missing_key {
                OnMissingKey::Refuse => return Plan::Refuse(self.missing_key(missing)),
                OnMissingKey::Skip => return Plan::Admit(None),
                // A half-written key must not depend on which half.
                OnMissingKey::Share => hasher = limiter.hasher(&self.policy),
            }
        }
        match limiter.check(&self.policy, hasher, Cost::ONE) {
            Answer::Pending(decision) => Plan::Ask(decision),
            Answer::Ready(Ok(decision)) if decision.is_allowed() => Plan::Admit(Some(decision)),
            Answer::Ready(Ok(decision)) => Plan::Refuse(self.refusal(&decision)),
            Answer::Ready(Err(unavailable)) => Plan::Refuse(self.unavailable(unavailable)),
        }
    }

    #[cold]
    fn missing_key(&self, missing: MissingKey) -> Rejection {
        if !self.has_logged_missing_key.swap(true, Ordering::Relaxed) {
            let policy = self.policy.name();
            tracing::error!(
                policy,
                "refusing every request that cannot be limited: {missing}"
            );
        }
        Rejection::new(Code::Internal, "MISSING_RATE_LIMIT_KEY", "internal error")
    }

    pub(super) fn refusal(&self, decision: &Decision) -> Rejection {
        tracing::debug!(policy = self.policy.name(), "request over its rate limit");
        let rejection = match decision.verdict() {
            Verdict::CostExceedsBurst => Rejection::new(
                Code::ResourceExhausted,
                "COST_EXCEEDS_BURST",
                "the request costs more than its limit ever allows",
            ),
            Verdict::Allow { .. } | Verdict::Deny { .. } => Rejection::new(
                Code::ResourceExhausted,
                "RATE_LIMITED",
                "rate limit exceeded",
            ),
        };
        let rejection = match decision.retry_after() {
            Some(delay) => rejection.with_retry_after(delay),
            None => rejection,
        };
        let rejection = rejection.with_problem_type(QUOTA_EXCEEDED);
        match self.headers {
            RateLimitHeaders::Never => rejection,
            RateLimitHeaders::Always | RateLimitHeaders::OnRefusal => rejection
                .with_header(headers::RATELIMIT_POLICY, self.policy_header.clone())
                .with_header(headers::RATELIMIT, headers::state(&self.policy, decision)),
        }
    }

    pub(super) fn unavailable(&self, unavailable: Unavailable) -> Rejection {
        tracing::debug!(policy = self.policy.name(), "no decision about a request");
        let delay = unavailable.retry_after().max(Duration::from_millis(1));
        Rejection::new(
            Code::Unavailable,
            "RATE_LIMITER_UNAVAILABLE",
            "temporarily unavailable",
        )
        .with_retry_after(delay)
    }

    /// Appends, so that every limiter of a stack is heard.
    pub(super) fn decorate(&self, decision: &Decision, response: &mut HeaderMap) {
        response.append(headers::RATELIMIT_POLICY, self.policy_header.clone());
        response.append(headers::RATELIMIT, headers::state(&self.policy, decision));
    }
}

/// Registered by the RateLimit draft.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
