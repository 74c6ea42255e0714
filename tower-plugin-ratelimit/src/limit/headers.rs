//! `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10: RFC 9651 lists of
//! strings with parameters. Several limiters in one stack append to them.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::{Decision, Policy, Quota};

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

/// The older headers that many clients know, beside the standard ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum LegacyHeaders {
    /// None.
    #[default]
    None,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining`, and `X-RateLimit-Reset` in seconds from now.
    XRateLimit,
}

/// `"api";q=20;w=2`: a quota of `q` comes back within `w` seconds.
///
/// `q` is the burst, which is what [`state`] counts down from, and `w` the time it takes to come back,
/// so that `q` per `w` is the rate. A sub-second window is told as one second.
pub(crate) fn policy(name: &str, quotas: &[Quota]) -> HeaderValue {
    let mut out = Text::<{ Policy::MAX_QUOTAS * ITEM }>::new();
    for (index, quota) in quotas.iter().enumerate() {
        if index > 0 {
            out.push(b", ");
        }
        out.push_name(name, quotas.len(), index);
        out.push(b";q=");
        out.push_number(u64::from(quota.burst()));
        out.push(b";w=");
        out.push_seconds(quota.refill());
    }
    let value = out.value();
    // The first clone of a value allocates what later ones share: not on a request's way.
    drop(value.clone());
    value
}

/// `"api";r=7;t=1`: `r` is left, and in `t` seconds there is more.
pub(super) fn state(policy: &Policy, decision: &Decision) -> HeaderValue {
    let mut out = Text::<ITEM>::new();
    out.push_name(policy.name(), policy.quotas().len(), decision.quota_index());
    out.push(b";r=");
    out.push_number(u64::from(decision.remaining()));
    let more = decision.retry_after().unwrap_or(decision.next_unit());
    if more > Duration::ZERO {
        out.push(b";t=");
        out.push_seconds(more);
    }
    out.value()
}

/// Tells a decision by its headers, as many as were asked for.
pub(super) fn tell<T>(
    policy: &Policy,
    decision: &Decision,
    legacy: LegacyHeaders,
    to: T,
    tell: impl Fn(T, HeaderName, HeaderValue) -> T,
) -> T {
    let to = tell(to, RATELIMIT_POLICY, policy.header());
    let to = tell(to, RATELIMIT, state(policy, decision));
    match legacy {
        LegacyHeaders::None => to,
        LegacyHeaders::XRateLimit => {
            let to = tell(to, X_LIMIT, HeaderValue::from(decision.limit()));
            let to = tell(to, X_REMAINING, HeaderValue::from(decision.remaining()));
            let reset = seconds_up(decision.reset());
            tell(to, X_RESET, HeaderValue::from(reset))
        }
    }
}

/// Rounded up: nobody is told to come back too early.
fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Text on the stack, so that a value is one allocation of the right size, and digits without the
/// formatting machinery, which a flood of refusals would pay for.
struct Text<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: usize,
}

impl<const SIZE: usize> Text<SIZE> {
    const fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            length: 0,
        }
    }

    fn push(&mut self, text: &[u8]) {
        let end = self.length + text.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text);
            self.length = end;
        }
    }

    /// A policy of one quota goes by its name, several are numbered.
    fn push_name(&mut self, name: &str, quotas: usize, index: usize) {
        self.push(b"\"");
        self.push(name.as_bytes());
        if quotas > 1 {
            self.push(b".");
            self.push_number(index as u64 + 1);
        }
        self.push(b"\"");
    }

    fn push_seconds(&mut self, duration: Duration) {
        self.push_number(seconds_up(duration));
    }

    fn push_number(&mut self, number: u64) {
        if number > 9 {
            self.push_number(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }

    /// Names are printable ASCII and the rest is ours, so the fallback never shows.
    fn value(&self) -> HeaderValue {
        let text = self.bytes.get(..self.length).unwrap_or_default();
        HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// A name of 64 characters and two numbers.
const ITEM: usize = 64 + 48;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

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
        assert_eq!(one.header(), "\"burst\";q=20;w=2");
        let check = |policy: &Policy, cost| {
            let decision = limiter.check_key(policy, 1, Cost::new(cost).unwrap());
            state(policy, &decision)
        };
        assert_eq!(check(&one, 1), "\"burst\";r=19;t=1");
        assert_eq!(check(&one, 19), "\"burst\";r=0;t=1");
        assert_eq!(check(&one, 20), "\"burst\";r=0;t=2");

        let two = ["5/s", "1000/d"].map(|quota| quota.parse().unwrap());
        let two = Policy::new("api", two).unwrap();
        assert_eq!(two.header(), "\"api.1\";q=5;w=1, \"api.2\";q=1000;w=86400");
        assert_eq!(check(&two, 5), "\"api.1\";r=0;t=1");
        clock.advance(Duration::from_secs(1));
        assert_eq!(check(&two, 1), "\"api.1\";r=4;t=1");
    }
}
