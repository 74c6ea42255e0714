use std::{fmt, mem, sync::Arc};

use http::{Request, Response};
use tower_plugin_core::{Principal, RequestHead, ResponseBody};

use super::route::Route;
use crate::{
    authenticate::{AuthError, CredentialHeader, CredentialHeaders},
    broker::{CapabilityBroker, Checked, Denied, Grant, Refusal},
    grant::{Asked, DenialReason, PresentedGrant},
    refusal::Refusals,
    store::{FoundGrant, GrantStore},
    transport::connection,
};

/// Lets a request pass, as the capability is to see it, or refuses it.
pub(super) struct Gate<G> {
    pub(super) broker: CapabilityBroker<G>,
    pub(super) header: CredentialHeader,
    pub(super) route: Route,
    pub(super) audience: Option<Arc<str>>,
    pub(super) refusals: Refusals,
}

impl<G: GrantStore> Gate<G> {
    /// The grant that was sent, before anybody is asked about it.
    pub(super) fn read(&self, request: &RequestHead<'_>) -> Result<PresentedGrant, Refused> {
        let text = self.header.read(request.headers)?;
        let presented = PresentedGrant::parse(text).map_err(|error| denied(None, error))?;
        let id = presented.id();
        let target = self.route.target(request.uri.path());
        let target = target.map_err(|reason| denied(Some(&presented), reason))?;
        if target.grant.is_some_and(|addressed| addressed != id) {
            return Err(denied(Some(&presented), DenialReason::OtherGrant));
        }
        Ok(presented)
    }

    /// Whether it is good for the request, as far as its record says.
    pub(super) fn judge(
        &self,
        presented: &PresentedGrant,
        found: FoundGrant,
        request: &RequestHead<'_>,
    ) -> Result<Checked, Refused> {
        let target = self.route.target(request.uri.path());
        let target = target.map_err(|reason| denied(Some(presented), reason))?;
        let method = request.method.as_str();
        let asked = Asked::new(target.capability, method, target.path, self.broker.now())
            .with_principal(request.extensions.get::<Principal>())
            .with_audience(self.audience.as_deref());
        connection::with_client_certificate(request.extensions, |der| {
            let asked = asked.with_certificate(der);
            Ok(self.broker.judge(presented, found, &asked)?)
        })
    }

    /// What the capability is to see of the request.
    pub(super) fn admit<B>(&self, grant: Grant, request: &mut Request<B>) -> Result<(), Refused> {
        // What was judged can be rewritten; if not, nobody may see it.
        let uri = self.route.rewrite(mem::take(request.uri_mut()));
        *request.uri_mut() = uri.ok_or(Refused::Denied(Denied::unknown(
            Some(grant.id()),
            DenialReason::AmbiguousPath,
        )))?;
        request.headers_mut().remove(self.header.name());
        // And not by what its caller is known, where the grant was sent beside it.
        CredentialHeaders::strip(request);
        request.extensions_mut().insert(grant);
        Ok(())
    }

    pub(super) fn refuse<B>(
        &self,
        refused: Refused,
        request: &RequestHead<'_>,
    ) -> Response<ResponseBody<B>> {
        match refused {
            Refused::Auth(error) => {
                tracing::debug!(?error, "request without a grant");
                self.refusals.unauthenticated(&error, request.headers)
            }
            Refused::Denied(denied) => {
                tracing::debug!(?denied, "request not granted");
                let target = self.route.target(request.uri.path());
                let capability = target.map_or("", |target| target.capability);
                self.broker.tell_denied(capability, &denied);
                self.refusals.invalid_grant(denied.reason, request.headers)
            }
        }
    }
}

fn denied(presented: Option<&PresentedGrant>, reason: impl Into<DenialReason>) -> Refused {
    Refused::Denied(Denied::unknown(presented.map(PresentedGrant::id), reason))
}

impl<G> Clone for Gate<G> {
    fn clone(&self) -> Self {
        Self {
            broker: self.broker.clone(),
            header: self.header.clone(),
            route: self.route.clone(),
            audience: self.audience.clone(),
            refusals: self.refusals.clone(),
        }
    }
}

impl<G: fmt::Debug> fmt::Debug for Gate<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("broker", &self.broker)
            .field("header", &self.header)
            .field("route", &self.route)
            .field("audience", &self.audience)
            .field("refusals", &self.refusals)
            .finish()
    }
}

/// Why a request does not pass.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nobody could even ask, or nobody could answer.
    Auth(AuthError),
    /// It is not good for this.
    Denied(Denied),
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(denied) => Self::Denied(denied),
            Refusal::Unavailable(error) => Self::Auth(AuthError::Unavailable(error)),
        }
    }
}
