use std::{error::Error, fmt};

use crate::{store::StoreError, token::InvalidReason, tokens::VerifyError};

/// Nobody was authenticated.
///
/// `Display` says the same of every invalid credential, as does the response.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthError {
    /// A credential was sent, and it is not valid. 401 with `error="invalid_token"`; the reason is left
    /// in the extensions of the response and shown to nobody.
    Invalid(InvalidReason),
    /// Something that can be sent once was sent several times. 400 with `error="invalid_request"`.
    InvalidRequest,
    /// No credential was sent, or one of a kind not accepted here. 401 with a bare challenge.
    Missing,
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

impl From<InvalidReason> for AuthError {
    fn from(reason: InvalidReason) -> Self {
        Self::Invalid(reason)
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(_) => f.write_str("invalid token"),
            Self::InvalidRequest => f.write_str("more than one credential"),
            Self::Missing => f.write_str("no credential"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(_) | Self::InvalidRequest | Self::Missing => None,
            Self::Unavailable(error) => error.source(),
        }
    }
}
