use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, Request, Response, header::AUTHORIZATION};
use tower_plugin_core::{Principal, ResponseBody};

use super::{AuthError, Authenticator, RUNTIME_ID};
use crate::refusal::Refusals;

/// Lets a request pass, with what is known of its sender, or refuses it.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    refusals: Refusals,
    anonymous: Anonymous,
    /// `None` if there are none but the usual ones.
    credentials: Option<CredentialHeaders>,
}

/// In which headers the layers further out have looked for credentials, beside the usual ones.
#[derive(Clone, Debug)]
pub(crate) struct CredentialHeaders(Arc<[HeaderName]>);

impl CredentialHeaders {
    fn new(names: Vec<HeaderName>) -> Option<Self> {
        let is_usual = |name: &HeaderName| *name == AUTHORIZATION || *name == RUNTIME_ID;
        let names: Arc<[_]> = names.into_iter().filter(|name| !is_usual(name)).collect();
        (!names.is_empty()).then_some(Self(names))
    }

    /// Adds these to what another layer has noted.
    fn note(&self, extensions: &mut Extensions) {
        let noted = match extensions.get::<Self>() {
            Some(Self(others)) => Self(others.iter().chain(&*self.0).cloned().collect()),
            None => self.clone(),
        };
        extensions.insert(noted);
    }

    /// Takes off whatever a caller may have been known by.
    pub(crate) fn strip<B>(request: &mut Request<B>) {
        let noted = request.extensions_mut().remove::<Self>();
        let headers = request.headers_mut();
        headers.remove(AUTHORIZATION);
        headers.remove(RUNTIME_ID);
        for name in noted.iter().flat_map(|noted| &*noted.0) {
            headers.remove(name);
        }
    }
}

/// What becomes of a request without a credential.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anonymous {
    Pass,
    Refuse,
}

impl Gate {
    pub(super) fn new(authenticator: &impl Authenticator, anonymous: Anonymous) -> Self {
        Self {
            refusals: Refusals::new(authenticator.schemes()),
            anonymous,
            credentials: CredentialHeaders::new(authenticator.credential_headers()),
        }
    }

    pub(super) fn refusals_mut(&mut self) -> &mut Refusals {
        &mut self.refusals
    }

    /// Leaves in a request what is known of its sender, or says why it goes no further.
    pub(super) fn admit(
        &self,
        decision: Result<Principal, AuthError>,
        extensions: &mut Extensions,
    ) -> Result<(), AuthError> {
        if let Some(credentials) = &self.credentials {
            credentials.note(extensions);
        }
        match (decision, self.anonymous) {
            (Ok(principal), _) => {
                extensions.insert(principal);
                Ok(())
            }
            (Err(AuthError::Missing), Anonymous::Pass) => {
                // Whoever was known further out did not prove it here.
                extensions.remove::<Principal>();
                Ok(())
            }
            (Err(error), _) => Err(error),
        }
    }

    #[inline(never)]
    pub(super) fn refuse<B>(
        &self,
        error: &AuthError,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        tracing::debug!(?error, "request not authenticated");
        self.refusals.unauthenticated(error, request)
    }
}
