use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_plugin_core::{Principal, RequestHead};

use super::{
    AuthError, Authenticator, CredentialHeader,
    credential::{at_most_one, mark_sensitive},
};
use crate::{
    Answer,
    store::TokenStore,
    token::{InvalidReason, TokenKind},
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
/// Issued tokens can be sent as API keys too, in a [header](Self::with_header) of another name: those are
/// the keys to give out, as they expire and can be revoked.
///
/// See the [crate docs](crate) for an example.
pub struct BearerAuthenticator<S> {
    tokens: Tokens<S>,
    header: CredentialHeader,
}

impl<S: TokenStore> BearerAuthenticator<S> {
    /// Verifies against these tokens.
    #[must_use]
    pub fn new(tokens: Tokens<S>) -> Self {
        Self {
            tokens,
            header: CredentialHeader::bearer(),
        }
    }

    /// Looks for the token in this header instead.
    #[must_use]
    pub fn with_header(mut self, header: CredentialHeader) -> Self {
        self.header = header;
        self
    }

    /// The token a request carries, and the runtime id it claims with it.
    fn credential<'a>(&self, headers: &'a HeaderMap) -> Result<Credential<'a>, AuthError> {
        let token = self.header.read(headers)?;
        let claimed = at_most_one(headers, &RUNTIME_ID)?;
        Ok((token, claimed))
    }
}

type Credential<'a> = (&'a [u8], Option<&'a HeaderValue>);

impl<S: TokenStore> Authenticator for BearerAuthenticator<S> {
    type Future = BearerFuture<S>;

    fn authenticate(
        &self,
        request: &RequestHead<'_>,
    ) -> Answer<Result<Principal, AuthError>, Self::Future> {
        let (token, claimed) = match self.credential(request.headers) {
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

    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        if *self.header.name() != AUTHORIZATION {
            mark_sensitive(headers, &AUTHORIZATION);
        }
        self.header.mark_sensitive(headers);
    }

    fn credential_headers(&self) -> Vec<HeaderName> {
        vec![AUTHORIZATION, RUNTIME_ID, self.header.name().clone()]
    }

    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![self.header.challenge()]
    }

    /// Whoever sent no token was told so at once.
    fn waits_only_for_credentials(&self) -> bool {
        true
    }
}

impl<S> Clone for BearerAuthenticator<S> {
    fn clone(&self) -> Self {
        Self {
            tokens: self.tokens.clone(),
            header: self.header.clone(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for BearerAuthenticator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthenticator")
            .field("tokens", &self.tokens)
            .field("header", &self.header)
            .finish()
    }
}

pin_project! {
    /// A bearer token being verified by a store that could not answer at once.
    #[must_use = "futures do nothing unless polled"]
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
