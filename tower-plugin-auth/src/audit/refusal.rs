//! What a refusal is called.

use http::{Extensions, StatusCode};
use tower_plugin_core::{Code, Rejection};

use super::{
    Outcome,
    vocabulary::{
        AUTHN_LOGIN_FAIL, AUTHN_TOKEN_REUSE, AUTHZ_FAIL, EXCESS_RATE_LIMIT_EXCEEDED,
        INPUT_VALIDATION_FAIL, REQUEST_REFUSED,
    },
};
use crate::{
    authenticate::CredentialProblem,
    grant::{CaveatKind, DenialReason},
    refusal::{AUTHENTICATION_UNAVAILABLE, INVALID_REQUEST},
    token::InvalidReason,
};

/// The name of the event, and how it went.
pub(super) fn named(rejection: &Rejection, extensions: &Extensions) -> (&'static str, Outcome) {
    let name = match rejection.code() {
        Code::Unauthenticated => match extensions.get() {
            Some(InvalidReason::Reused) => AUTHN_TOKEN_REUSE,
            _ => AUTHN_LOGIN_FAIL,
        },
        _ if [AUTHENTICATION_UNAVAILABLE, INVALID_REQUEST].contains(&rejection.reason()) => {
            AUTHN_LOGIN_FAIL
        }
        Code::PermissionDenied => AUTHZ_FAIL,
        Code::ResourceExhausted if rejection.status() == StatusCode::TOO_MANY_REQUESTS => {
            EXCESS_RATE_LIMIT_EXCEEDED
        }
        // Sizes: 413, 414 and 431.
        Code::ResourceExhausted | Code::InvalidArgument | Code::OutOfRange => INPUT_VALIDATION_FAIL,
        Code::Aborted
        | Code::AlreadyExists
        | Code::Cancelled
        | Code::DataLoss
        | Code::DeadlineExceeded
        | Code::FailedPrecondition
        | Code::Internal
        | Code::NotFound
        | Code::Unavailable
        | Code::Unimplemented
        | Code::Unknown => REQUEST_REFUSED,
    };
    let outcome = match rejection.code() {
        Code::Cancelled
        | Code::DataLoss
        | Code::DeadlineExceeded
        | Code::Internal
        | Code::Unavailable
        | Code::Unknown => Outcome::Error,
        _ => Outcome::Denied,
    };
    (name, outcome)
}

/// What the caller was not told: why exactly, where the layers have left that.
pub(super) fn cause(rejection: &Rejection, extensions: &Extensions) -> Option<&'static str> {
    let token = extensions.get().map(|reason| match reason {
        InvalidReason::Expired => "EXPIRED",
        InvalidReason::Idle => "IDLE",
        InvalidReason::Malformed(_) => "MALFORMED",
        InvalidReason::Mismatch => "MISMATCH",
        InvalidReason::OtherSubject => "OTHER_SUBJECT",
        InvalidReason::Reused => "REUSED",
        InvalidReason::Unknown => "UNKNOWN",
        InvalidReason::WrongKind => "WRONG_KIND",
    });
    let grant = || extensions.get().copied().map(denied);
    let credential = || {
        extensions.get().map(|problem| match problem {
            CredentialProblem::AmbiguousIdentity => "AMBIGUOUS_IDENTITY",
            CredentialProblem::AuthorityCertificate => "AUTHORITY_CERTIFICATE",
            CredentialProblem::ExpiredCertificate => "EXPIRED_CERTIFICATE",
            CredentialProblem::MalformedCertificate => "MALFORMED_CERTIFICATE",
            CredentialProblem::NoIdentity => "NO_IDENTITY",
            CredentialProblem::Refused => "REFUSED",
            CredentialProblem::UnknownKey => "UNKNOWN_KEY",
        })
    };
    let violation = || {
        let first = rejection.violations().first()?;
        (first.reason() != rejection.reason()).then(|| first.reason())
    };
    token.or_else(grant).or_else(credential).or_else(violation)
}

/// Why a grant was not good for what was asked.
pub(super) const fn denied(reason: DenialReason) -> &'static str {
    match reason {
        DenialReason::AmbiguousPath => "AMBIGUOUS_PATH",
        DenialReason::Caveat(kind) => match kind {
            CaveatKind::Audience => "CAVEAT_AUDIENCE",
            CaveatKind::Certificate => "CAVEAT_CERTIFICATE",
            CaveatKind::Holder => "CAVEAT_HOLDER",
            CaveatKind::MaxUses => "CAVEAT_MAX_USES",
            CaveatKind::Methods => "CAVEAT_METHODS",
            CaveatKind::NotAfter => "CAVEAT_NOT_AFTER",
            CaveatKind::PathPrefix => "CAVEAT_PATH_PREFIX",
            CaveatKind::Rpc => "CAVEAT_RPC",
        },
        DenialReason::Expired => "EXPIRED",
        DenialReason::Malformed(_) => "MALFORMED",
        DenialReason::Mismatch => "MISMATCH",
        DenialReason::NotHolder => "NOT_HOLDER",
        DenialReason::NotPermitted => "NOT_PERMITTED",
        DenialReason::OtherCapability => "OTHER_CAPABILITY",
        DenialReason::OtherGrant => "OTHER_GRANT",
        DenialReason::Revoked => "REVOKED",
        DenialReason::Unknown => "UNKNOWN",
        DenialReason::UsedUp => "USED_UP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_grant_is_recorded_with_its_exact_reason() {
        let rejection = Rejection::new(Code::Unauthenticated, "INVALID_TOKEN", "invalid token");
        let cause = |reason: DenialReason| {
            let mut extensions = Extensions::new();
            extensions.insert(reason);
            cause(&rejection, &extensions)
        };
        assert_eq!(cause(DenialReason::NotHolder), Some("NOT_HOLDER"));
        let narrowed = DenialReason::Caveat(CaveatKind::Methods);
        assert_eq!(cause(narrowed), Some("CAVEAT_METHODS"));
        assert_eq!(super::cause(&rejection, &Extensions::new()), None);
    }
}
