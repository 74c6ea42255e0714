//! What a refused caller is told.

use std::time::Duration;

use http::{HeaderMap, Response};
use tower_plugin_core::{Code, Rejection, ResponseBody};

use super::{
    headers::{self, RateLimitHeaders},
    settings::Settings,
};
use crate::{Decision, Policy, Unavailable, Verdict};

/// What all who are over a quota are told alike, written beforehand: a flood of refusals must cost
/// little.
#[derive(Clone)]
pub(super) struct Refusals {
    rate_limited: Rejection,
    too_costly: Rejection,
}

impl Default for Refusals {
    fn default() -> Self {
        let prepared = |reason, message| {
            Rejection::new(Code::ResourceExhausted, reason, message)
                .with_problem_type(QUOTA_EXCEEDED)
                .prepared()
        };
        Self {
            rate_limited: prepared("RATE_LIMITED", "rate limit exceeded"),
            too_costly: prepared(
                "COST_EXCEEDS_BURST",
                "the request costs more than its limit ever allows",
            ),
        }
    }
}

impl Settings {
    /// Over a quota. `retry_after` is the decision's own, or how long the request would have waited.
    pub(super) fn over_quota(
        &self,
        policy: &Policy,
        decision: &Decision,
        retry_after: Option<Duration>,
    ) -> Rejection {
        let mut rejection = match decision.verdict() {
            Verdict::CostExceedsBurst => self.refusals.too_costly.clone(),
            Verdict::Allow { .. } | Verdict::Deny { .. } => self.refusals.rate_limited.clone(),
        };
        if let Some(delay) = retry_after {
            rejection = rejection.with_retry_after(delay);
        }
        if self.headers == RateLimitHeaders::Never {
            return rejection;
        }
        headers::tell(
            policy,
            decision,
            self.legacy,
            rejection,
            Rejection::with_header,
        )
    }

    pub(super) fn respond<B>(
        &self,
        rejection: Rejection,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        match &self.body {
            None => rejection.into_response(request),
            Some(body) => rejection.into_response_with(request, |rejection| body(rejection)),
        }
    }
}

/// The server is misassembled; the caller is not told how.
pub(super) fn missing_key() -> Rejection {
    Rejection::new(Code::Internal, "MISSING_RATE_LIMIT_KEY", "internal error")
}

/// Neither yes nor no: not 429.
pub(super) fn unavailable(unavailable: Unavailable) -> Rejection {
    Rejection::new(
        Code::Unavailable,
        "RATE_LIMITER_UNAVAILABLE",
        "temporarily unavailable",
    )
    .with_retry_after(unavailable.retry_after())
}

/// Registered by the RateLimit draft.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
