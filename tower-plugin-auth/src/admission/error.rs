use std::{error::Error, fmt, time::Duration};

use tower_plugin_core::{Code, Rejection};

use super::RefusalReason;
use crate::{store::StoreError, tokens::IssueError};

/// Somebody was not let in.
///
/// `Display` says the same whatever the reason, so that it may reach a caller. Logs and audit want the
/// [reason](Self::reason).
#[derive(Debug)]
#[non_exhaustive]
pub enum AdmissionError {
    /// As many admissions as may go on at once do. It says nothing of the applicant.
    Busy,
    /// It would have been let in, and no token could be issued.
    Issue(IssueError),
    /// It does not meet the rule, or is in quarantine.
    Refused(RefusalReason),
}

impl AdmissionError {
    /// Why it was refused, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<RefusalReason> {
        match self {
            Self::Busy => Some(RefusalReason::Busy),
            Self::Issue(_) => None,
            Self::Refused(reason) => Some(*reason),
        }
    }

    /// What the caller is told: one sentence for every reason.
    ///
    /// What | code (HTTP) | reason
    /// ---|---|---
    /// refused | `permission_denied` (403) | `ADMISSION_REFUSED`
    /// busy | `unavailable` (503), `Retry-After: 1` | `ADMISSION_BUSY`
    /// no room for its token | `resource_exhausted` (429) | `ADMISSION_FULL`
    /// no store for its token | `unavailable` (503), `Retry-After` | `ADMISSION_UNAVAILABLE`
    /// no token for other reasons | `internal` (500) | `ADMISSION_FAILED`
    ///
    /// Busy is `unavailable` as it is the host that is, not a quota of this caller that is spent: client
    /// libraries try again by themselves.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        match self {
            Self::Refused(_) => Rejection::new(
                Code::PermissionDenied,
                "ADMISSION_REFUSED",
                "admission refused",
            ),
            Self::Busy => Rejection::new(
                Code::Unavailable,
                "ADMISSION_BUSY",
                "too many admissions at once",
            )
            .with_retry_after(RETRY_AFTER),
            Self::Issue(IssueError::Full) => Rejection::new(
                Code::ResourceExhausted,
                "ADMISSION_FULL",
                "no room for another plugin",
            ),
            Self::Issue(IssueError::Unavailable(error)) => Rejection::new(
                Code::Unavailable,
                "ADMISSION_UNAVAILABLE",
                "admission is temporarily unavailable",
            )
            .with_retry_after(error.retry_after().unwrap_or(RETRY_AFTER)),
            Self::Issue(_) => {
                Rejection::new(Code::Internal, "ADMISSION_FAILED", "admission failed")
            }
        }
    }
}

impl fmt::Display for AdmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many admissions at once"),
            Self::Issue(error) => error.fmt(f),
            Self::Refused(_) => f.write_str("admission refused"),
        }
    }
}

impl Error for AdmissionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Busy | Self::Refused(_) => None,
            Self::Issue(error) => error.source(),
        }
    }
}

/// Somebody was put in quarantine in part only. Do it again: what was done stays done.
#[derive(Debug)]
#[non_exhaustive]
pub enum QuarantineError {
    /// There is no room for another suspect. Its tokens and grants were revoked; **it may come back**.
    Full,
    /// It is kept out, and some of its grants may be valid.
    Grants(StoreError),
    /// It is kept out, and some of its tokens may be valid.
    Tokens(StoreError),
}

impl fmt::Display for QuarantineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "quarantine is full",
            Self::Grants(_) => "grants of a suspect may still be valid",
            Self::Tokens(_) => "tokens of a suspect may still be valid",
        })
    }
}

impl Error for QuarantineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full => None,
            Self::Grants(error) | Self::Tokens(error) => Some(error),
        }
    }
}

/// Admissions take milliseconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);
