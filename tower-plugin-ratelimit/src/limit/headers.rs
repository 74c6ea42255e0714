//! `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10: RFC 9651 lists of
//! strings with parameters. Several limiters in one stack append to them.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::{Decision, Policy};

/// Which responses tell callers where they stand.
///
/// Two header values cost two allocations, so admitted responses carry them only when asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RateLimitHeaders {
    /// Every response.
    Always,
    /// None; refusals still say `retry-after`.
    Never,
    /// Refusals only.
    #[default]
    OnRefusal,
}

/// `"api";q=20;w=2`: a quota of `q` comes back within `w` seconds.
///
/// `q` is the burst, which is what [`state`] counts down from, and `w` the time it takes to come back,
/// so that `q` per `w` is the rate. A sub-second window is told as one second.
pub(super) fn policy(policy: &Policy) -> HeaderValue {
    let mut out = String::new();
    for (index, quota) in policy.quotas().iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push_name(&mut out, policy, index);
        out.push_str(";q=");
        push_number(&mut out, u64::from(quota.burst()));
        out.push_str(";w=");
        push_seconds(&mut out, quota.refill());
    }
    value(out)
}

/// `"api";r=7;t=1`: `r` is left, and in `t` seconds there is more.
pub(super) fn state(policy: &Policy, decision: &Decision) -> HeaderValue {
    let mut out = String::with_capacity(policy.name().len() + 32);
    push_name(&mut out, policy, decision.quota_index());
    out.push_str(";r=");
    push_number(&mut out, u64::from(decision.remaining()));
    let more = decision.retry_after().unwrap_or(decision.next_unit());
    if more > Duration::ZERO {
        out.push_str(";t=");
        push_seconds(&mut out, more);
    }
    value(out)
}

/// A policy of one quota goes by its name, several are numbered.
fn push_name(out: &mut String, policy: &Policy, index: usize) {
    out.push('"');
    out.push_str(policy.name());
    if policy.quotas().len() > 1 {
        out.push('.');
        push_number(out, index as u64 + 1);
    }
    out.push('"');
}

/// Rounded up: nobody is told to come back too early.
fn push_seconds(out: &mut String, duration: Duration) {
    let started = u64::from(duration.subsec_nanos() > 0);
    push_number(out, duration.as_secs() + started);
}

/// Decimal digits without the formatting machinery, which a flood of refusals would pay for.
fn push_number(out: &mut String, number: u64) {
    if number > 9 {
        push_number(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

/// Names are printable ASCII and the rest is ours, so the fallback never shows.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

pub(super) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cost, MemoryLimiter, OnFull};
    use tower_plugin_core::ManualClock;

    #[test]
    fn headers_have_the_drafts_syntax() {
        let clock = ManualClock::new();
        let limiter = MemoryLimiter::with_clock(10, OnFull::Forget, clock.clone()).unwrap();
        let one = Policy::new("burst", ["10/s:20".parse().unwrap()]).unwrap();
        assert_eq!(policy(&one), "\"burst\";q=20;w=2");
        let check = |policy: &Policy, cost| {
            let decision = limiter.check_key(policy, 1, Cost::new(cost).unwrap());
            state(policy, &decision)
        };
        assert_eq!(check(&one, 1), "\"burst\";r=19;t=1");
        assert_eq!(check(&one, 19), "\"burst\";r=0;t=1");
        assert_eq!(check(&one, 20), "\"burst\";r=0;t=2");

        let two = ["5/s", "1000/d"].map(|quota| quota.parse().unwrap());
        let two = Policy::new("api", two).unwrap();
        assert_eq!(policy(&two), "\"api.1\";q=5;w=1, \"api.2\";q=1000;w=86400");
        assert_eq!(check(&two, 5), "\"api.1\";r=0;t=1");
        clock.advance(Duration::from_secs(1));
        assert_eq!(check(&two, 1), "\"api.1\";r=4;t=1");
    }
}
