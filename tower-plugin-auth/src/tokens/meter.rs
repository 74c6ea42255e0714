//! What becomes of tokens, and how long checks wait, told to the `metrics` facade. Without the feature
//! nothing is counted and no clock is read.
//!
//! Every label is one of a few words that stand here.

#![cfg_attr(
    not(feature = "metrics"),
    expect(
        clippy::needless_pass_by_ref_mut,
        dead_code,
        unused_variables,
        reason = "nobody counts"
    )
)]

use super::{IssueError, RotateError, TokenEvent, Tokens, Verified, VerifyError};
use crate::token::InvalidReason;

/// What a check may come to.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Accepted,
    Refused(InvalidReason),
    Unavailable,
}

/// What is told of on a request's way, resolved at the first check: a recorder must be installed by then.
#[derive(Default)]
pub(super) struct Checks {
    #[cfg(feature = "metrics")]
    counters: std::sync::OnceLock<[metrics::Counter; OUTCOMES.len()]>,
    #[cfg(feature = "metrics")]
    waits: std::sync::OnceLock<[metrics::Histogram; ENDS.len()]>,
}

impl Checks {
    pub(super) fn count(&self, outcome: Outcome) {
        #[cfg(feature = "metrics")]
        {
            let counters = self.counters.get_or_init(|| {
                OUTCOMES.map(
                    |outcome| metrics::counter!("tower_plugin_auth_checks_total", "outcome" => outcome),
                )
            });
            if let Some(counter) = counters.get(outcome.place()) {
                counter.increment(1);
            }
        }
    }

    #[cfg(feature = "metrics")]
    fn waited(&self, end: usize, nanos: u64) {
        let waits = self.waits.get_or_init(|| {
            ENDS.map(
                |end| metrics::histogram!("tower_plugin_auth_check_wait_seconds", "outcome" => end),
            )
        });
        if let Some(wait) = waits.get(end) {
            wait.record(std::time::Duration::from_nanos(nanos).as_secs_f64());
        }
    }
}

/// A check that waits for its store, and since when.
pub(super) struct Wait<S> {
    #[cfg(feature = "metrics")]
    since: Option<(Tokens<S>, u64)>,
    #[cfg(not(feature = "metrics"))]
    since: std::marker::PhantomData<fn() -> Tokens<S>>,
}

impl<S> Wait<S> {
    pub(super) fn begin(tokens: &Tokens<S>) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            since: Some((tokens.clone(), tokens.0.clock.monotonic_nanos())),
            #[cfg(not(feature = "metrics"))]
            since: std::marker::PhantomData,
        }
    }

    pub(super) fn end(&mut self, verdict: &Result<Verified, VerifyError>) {
        #[cfg(feature = "metrics")]
        self.end_as(match verdict {
            Ok(_) => 1,
            Err(VerifyError::Invalid(_)) => 2,
            Err(VerifyError::Unavailable(_)) => 3,
        });
    }

    #[cfg(feature = "metrics")]
    fn end_as(&mut self, end: usize) {
        if let Some((tokens, began)) = self.since.take() {
            let now = tokens.0.clock.monotonic_nanos();
            tokens.0.checks.waited(end, now.saturating_sub(began));
        }
    }
}

/// Those who give up are those who waited longest.
#[cfg(feature = "metrics")]
impl<S> Drop for Wait<S> {
    fn drop(&mut self) {
        self.end_as(0);
    }
}

/// How waiting may end.
#[cfg(feature = "metrics")]
const ENDS: [&str; 4] = ["abandoned", "accepted", "refused", "unavailable"];

#[cfg(feature = "metrics")]
impl Outcome {
    /// In [`OUTCOMES`].
    const fn place(self) -> usize {
        match self {
            Self::Accepted => 0,
            Self::Unavailable => 1,
            Self::Refused(reason) => match reason {
                InvalidReason::Expired => 2,
                InvalidReason::Idle => 3,
                InvalidReason::Malformed(_) => 4,
                InvalidReason::Mismatch => 5,
                // Found out further on, by whoever knows what the caller claims to be.
                InvalidReason::OtherSubject => 6,
                InvalidReason::Reused => 7,
                InvalidReason::Unknown => 8,
                InvalidReason::WrongKind => 9,
            },
        }
    }
}

#[cfg(feature = "metrics")]
const OUTCOMES: [&str; 10] = [
    "accepted",
    "unavailable",
    "expired",
    "idle",
    "malformed",
    "mismatch",
    "other_subject",
    "reused",
    "unknown",
    "wrong_kind",
];

pub(super) fn happened(event: &TokenEvent<'_>) {
    #[cfg(feature = "metrics")]
    {
        use crate::{store::Revocation, token::TokenKind};

        let (event, record) = match event {
            TokenEvent::Consumed { record } => ("consumed", record),
            TokenEvent::Issued { record } => ("issued", record),
            TokenEvent::Reused { record, .. } => ("reused", record),
            TokenEvent::Rotated { record, .. } => ("rotated", record),
            TokenEvent::Revoked { revocation, count } => {
                let by = match revocation {
                    Revocation::BegunBefore(_) => "age",
                    Revocation::Family(_) => "family",
                    Revocation::Subject { .. } => "subject",
                    Revocation::Tokens(_) => "id",
                };
                metrics::counter!("tower_plugin_auth_revoked_total", "by" => by).increment(*count);
                return;
            }
        };
        let kind = match record.kind() {
            TokenKind::Grant => "grant",
            TokenKind::OneTime => "one_time",
            TokenKind::Runtime => "runtime",
        };
        metrics::counter!("tower_plugin_auth_tokens_total", "event" => event, "kind" => kind)
            .increment(1);
    }
}

pub(super) fn not_issued(error: &IssueError) {
    let reason = match error {
        IssueError::AlreadyExists => "already_exists",
        IssueError::Full => "full",
        IssueError::InvalidTtl => "invalid_ttl",
        IssueError::Rng(_) => "no_randomness",
        IssueError::TooLarge => "too_large",
        IssueError::Unavailable(_) => {
            store_failed("insert");
            "unavailable"
        }
    };
    failed("issue", reason);
}

pub(super) fn not_rotated(error: &RotateError) {
    let reason = match error {
        RotateError::AlreadyRotated => "already_rotated",
        RotateError::Full => "full",
        RotateError::NotLive => "not_live",
        RotateError::OneTime => "one_time",
        RotateError::Rng(_) => "no_randomness",
        RotateError::Unavailable(_) => {
            store_failed("rotate");
            "unavailable"
        }
    };
    failed("rotate", reason);
}

fn failed(operation: &'static str, reason: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "tower_plugin_auth_not_issued_total",
        "operation" => operation,
        "reason" => reason
    )
    .increment(1);
}

pub(super) fn store_failed(operation: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_plugin_auth_store_errors_total", "operation" => operation)
        .increment(1);
}
