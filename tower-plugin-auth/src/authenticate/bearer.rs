use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION, request::Parts};
use pin_project_lite::pin_project;
use tower_plugin_core::Principal;

use super::{AuthError, Authenticator};
use crate::{
    Answer,
    store::TokenStore,
    token::{InvalidReason, MalformedToken, TokenKind},
    tokens::{Tokens, Verified, VerifyError, Verifying},
};

/// The header in which a plugin may repeat its runtime id.
pub const RUNTIME_ID: HeaderName = HeaderName::from_static("x-plugin-runtime-id");

/// Accepts `Authorization: Bearer` with a runtime token (RFC 6750, section 2.1).
///
/// The scheme may be written in any case. Exactly one `Authorization` header is accepted; tokens in the
/// query or the body are not looked for. If [`X-Plugin-Runtime-ID`](RUNTIME_ID) is sent, it must be
/// the subject of the token; it identifies nobody by itself.
///
/// See the [crate docs](crate) for an example.
pub struct BearerAuthenticator<S> {
    tokens: Tokens<S>,
}

impl<S: TokenStore> BearerAuthenticator<S> {
    /// Verifies against these tokens.
    #[must_use]
    pub fn new(tokens: Tokens<S>) -> Self {
        Self { tokens }
    }
}

impl<S: TokenStore> Authenticator for BearerAuthenticator<S> {
    type Future = BearerFuture<S>;

    fn authenticate(&self, request: &Parts) -> Answer<Result<Principal, AuthError>, Self::Future> {
        let (token, claimed) = match credential(&request.headers) {
            Ok(credential) => credential,
            Err(error) => return Answer::Ready(Err(error)),
        };
        match self.tokens.verify(TokenKind::Runtime, token) {
            Answer::Ready(verified) => Answer::Ready(decide(verified, claimed)),
            Answer::Pending(verifying) => Answer::Pending(BearerFuture {
                claimed: claimed.cloned(),
                verifying,
            }),
        }
    }
}

impl<S> Clone for BearerAuthenticator<S> {
    fn clone(&self) -> Self {
        Self {
            tokens: self.tokens.clone(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for BearerAuthenticator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthenticator")
            .field("tokens", &self.tokens)
            .finish()
    }
}

pin_project! {
    /// A bearer token being verified by a store that could not answer at once.
    pub struct BearerFuture<S: TokenStore> {
        claimed: Option<HeaderValue>,
        #[pin]
        verifying: Verifying<S>,
    }
}

impl<S: TokenStore> Future for BearerFuture<S> {
    type Output = Result<Principal, AuthError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let verified = ready!(this.verifying.poll(cx));
        Poll::Ready(decide(verified, this.claimed.as_ref()))
    }
}

impl<S: TokenStore> fmt::Debug for BearerFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerFuture")
            .field("verifying", &self.verifying)
            .finish_non_exhaustive()
    }
}

/// The token a request carries, and the runtime id it claims with it.
fn credential(headers: &HeaderMap) -> Result<(&[u8], Option<&HeaderValue>), AuthError> {
    let authorization = at_most_one(headers, &AUTHORIZATION)?.ok_or(AuthError::Missing)?;
    let claimed = at_most_one(headers, &RUNTIME_ID)?;
    let Some((scheme, rest)) = authorization.as_bytes().split_at_checked(SCHEME.len()) else {
        return Err(AuthError::Missing);
    };
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(AuthError::Missing);
    }
    match rest {
        [] => Err(InvalidReason::Malformed(MalformedToken::Length).into()),
        [b' ', ..] => Ok((rest.trim_ascii_start(), claimed)),
        _ => Err(AuthError::Missing),
    }
}

fn at_most_one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(AuthError::InvalidRequest),
    }
}

fn decide(
    verified: Result<Verified, VerifyError>,
    claimed: Option<&HeaderValue>,
) -> Result<Principal, AuthError> {
    let verified = verified?;
    let principal = verified.principal();
    if claimed.is_some_and(|id| id.as_bytes() != principal.subject().as_bytes()) {
        return Err(InvalidReason::OtherSubject.into());
    }
    Ok(principal.clone())
}

const SCHEME: &[u8] = b"Bearer";
