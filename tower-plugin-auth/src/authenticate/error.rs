use std::{error::Error, fmt};

use crate::{store::StoreError, token::InvalidReason, tokens::VerifyError};

/// Nobody was authenticated.
///
/// `Display` says the same of every invalid credential, as does the response.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// A credential other than a token was sent, and it is not accepted. 401; the problem is left in the
    /// extensions of the response and shown to nobody.
    Credential(CredentialProblem),
    /// A token was sent, and it is not valid. 401 with `error="invalid_token"`; the reason is left in
    /// the extensions of the response and shown to nobody.
    Invalid(InvalidReason),
    /// Something that can be sent once was sent several times. 400 with `error="invalid_request"`.
    InvalidRequest,
    /// No credential was sent, or one of a kind not accepted here. 401 with a bare challenge.
    Missing,
    /// Nobody could tell in time. 503 with `Retry-After` and no challenge.
    TimedOut,
    /// Nobody can tell right now. 503 with `Retry-After` and no challenge.
    Unavailable(StoreError),
}

impl From<VerifyError> for AuthError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Invalid(reason) => Self::Invalid(reason),
            VerifyError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl From<CredentialProblem> for AuthError {
    fn from(problem: CredentialProblem) -> Self {
        Self::Credential(problem)
    }
}

impl From<InvalidReason> for AuthError {
    fn from(reason: InvalidReason) -> Self {
        Self::Invalid(reason)
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(_) => f.write_str("invalid credential"),
            Self::Invalid(_) => f.write_str("invalid token"),
            Self::InvalidRequest => f.write_str("more than one credential"),
            Self::Missing => f.write_str("no credential"),
            Self::TimedOut => f.write_str("authentication took too long"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(error) => error.source(),
            Self::Credential(_)
            | Self::Invalid(_)
            | Self::InvalidRequest
            | Self::Missing
            | Self::TimedOut => None,
        }
    }
}

/// Why a credential that is not a token is not accepted. For logs and audit, never for the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CredentialProblem {
    /// The certificate names several holders where it may name one.
    AmbiguousIdentity,
    /// The certificate is one of an authority, which signs for others and does not call.
    AuthorityCertificate,
    /// The certificate is not valid at this time, or is no longer.
    ExpiredCertificate,
    /// The certificate cannot be read.
    MalformedCertificate,
    /// The certificate names nobody: no URI, no DNS name, no common name.
    NoIdentity,
    /// Whatever the application says; for authenticators of your own.
    Refused,
    /// No such API key.
    UnknownKey,
}

impl fmt::Display for CredentialProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AmbiguousIdentity => "certificate names more than one holder",
            Self::AuthorityCertificate => "certificate is of an authority",
            Self::ExpiredCertificate => "certificate is not valid at this time",
            Self::MalformedCertificate => "certificate is malformed",
            Self::NoIdentity => "certificate names nobody",
            Self::Refused => "credential is refused",
            Self::UnknownKey => "api key is unknown",
        })
    }
}

impl Error for CredentialProblem {}
