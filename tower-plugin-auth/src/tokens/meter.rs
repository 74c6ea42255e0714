//! What becomes of tokens, counted for the `metrics` facade. Without the feature nothing is.
//!
//! Every label is one of a few words that stand here.

#![cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, unused_variables, reason = "nobody counts")
)]

use super::{IssueError, RotateError, TokenEvent};
use crate::token::InvalidReason;

/// What a check may come to.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Accepted,
    Refused(InvalidReason),
    Unavailable,
}

/// The counters on a request's way, resolved at the first check: a recorder must be installed by then.
#[derive(Default)]
pub(super) struct Checks {
    #[cfg(feature = "metrics")]
    counters: std::sync::OnceLock<[metrics::Counter; OUTCOMES.len()]>,
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
}

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
