use std::{
    hash::Hasher,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tower_plugin_core::{Code, Rejection, RequestHead};

use super::{
    Concurrency, ConcurrencyLimiter, Permit,
    limiter::{Acquired, Ticket},
};
use crate::{
    OnMissingKey,
    key::{Key, MissingKey},
};

/// What the layer was told, shared by all its services.
#[derive(Debug)]
pub(super) struct Settings {
    on_missing_key: OnMissingKey,
    name: Box<str>,
    /// Refusals all say the same.
    refusal: Rejection,
    has_logged_missing_key: AtomicBool,
}

/// What happens to a request before anything is known of the inner service.
pub(super) enum Plan {
    Admit(Option<Permit>),
    Refuse(Rejection),
    Wait(Ticket),
}

impl Settings {
    pub(super) fn new(limit: &Concurrency, on_missing_key: OnMissingKey) -> Self {
        let (name, max) = (limit.name(), limit.max());
        // The name is printable ASCII, so the fallback never shows.
        let value =
            |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Self {
            on_missing_key,
            name: name.into(),
            refusal: Rejection::new(
                Code::ResourceExhausted,
                "CONCURRENCY_LIMITED",
                "too many requests at once",
            )
            .with_retry_after(SOON)
            .with_header(
                HeaderName::from_static("ratelimit-policy"),
                value(format!("\"{name}\";q={max};qu=\"concurrent-requests\"")),
            )
            .with_header(
                HeaderName::from_static("ratelimit"),
                value(format!("\"{name}\";r=0")),
            )
            .prepared(),
            has_logged_missing_key: AtomicBool::new(false),
        }
    }

    pub(super) fn plan(
        &self,
        limiter: &ConcurrencyLimiter,
        key: &impl Key,
        request: &RequestHead<'_>,
    ) -> Plan {
        let mut hasher = limiter.hasher();
        if let Err(missing) = key.key(request, &mut hasher) {
            match self.on_missing_key {
                OnMissingKey::Refuse => return Plan::Refuse(self.missing_key(missing)),
                OnMissingKey::Skip => return Plan::Admit(None),
                // A half-written key must not depend on which half.
                OnMissingKey::Share => hasher = limiter.hasher(),
            }
        }
        match limiter.acquire(hasher.finish(), limiter.limit().queue()) {
            Acquired::Permit(permit) => Plan::Admit(Some(permit)),
            Acquired::Ticket(ticket) => Plan::Wait(ticket),
            Acquired::KeyIsFull => Plan::Refuse(self.refusal()),
            Acquired::TotalIsFull => Plan::Refuse(self.overload()),
        }
    }

    pub(super) fn refusal(&self) -> Rejection {
        tracing::debug!(policy = &*self.name, "too many requests in flight");
        self.refusal.clone()
    }

    fn overload(&self) -> Rejection {
        tracing::debug!(policy = &*self.name, "too many requests in flight of all");
        Rejection::new(Code::Unavailable, "OVERLOADED", "temporarily unavailable")
            .with_retry_after(SOON)
    }

    #[cold]
    fn missing_key(&self, missing: MissingKey) -> Rejection {
        if !self.has_logged_missing_key.swap(true, Relaxed) {
            tracing::error!(
                policy = &*self.name,
                "refusing every request that cannot be limited: {missing}"
            );
        }
        Rejection::new(Code::Internal, "MISSING_RATE_LIMIT_KEY", "internal error")
    }
}

/// Nobody knows when a request will end; this keeps those refused from asking at once.
const SOON: Duration = Duration::from_secs(1);
