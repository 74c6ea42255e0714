use std::fmt;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use tower_plugin_core::Rejection;

use super::{CapabilityGuard, gate::Gate, route::Route};
use crate::{
    authenticate::CredentialHeader,
    broker::{CapabilityBroker, PREFIX, is_kind},
    config::InvalidConfig,
    refusal::{Realm, Refusals},
    store::GrantStore,
};

/// Lets a request through to a capability only by a grant of it, and only for what the grant permits.
///
/// By default the grant is presented as `Authorization: Bearer tpg_…` at `/capabilities/TYPE/ID/…`, where `TYPE` and
/// `ID` must be the grant's. The capability is called once, at what follows in the path and with the query, without
/// the credential, and with the [`Grant`](crate::Grant) in the extensions of the request. Before that the
/// use is counted, if uses are.
///
/// A grant that is bound to a principal asks for an [`AuthLayer`](crate::AuthLayer) outside, to find out who is
/// calling. Where that one reads `Authorization`, let the grant be sent in a [header](Self::with_header) of its own;
/// both are taken off then, and so is every header that an `AuthLayer` outside
/// [looks for credentials in](crate::Authenticator::credential_headers), and `X-Plugin-Runtime-ID`.
///
/// It changes the path, so it has to stand where the path still decides: in axum around a `Router` of its own, given to
/// `fallback_service`, not in `Router::layer`, which runs when the route has been chosen.
///
/// | Sent | Answer |
/// |---|---|
/// | no grant | **401** with a bare challenge |
/// | several | **400** with `error="invalid_request"` |
/// | a grant that is not good for this, for whatever reason; a path that can be read in two ways, or leads nowhere | **401** with `error="invalid_token"` and one text for all; the [reason](crate::grant::DenialReason) is in the extensions of the response, and told to the [observer](crate::broker::CapabilityBrokerBuilder::with_observer) |
/// | a grant of which the store cannot tell | **503** with `Retry-After`, without a challenge |
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_plugin_auth::{
///     Capability, CapabilityBroker, CapabilityLayer, Grant, GrantRequest, Principal, SystemRng,
///     authorize::AllowAll, grant::Caveat, store::MemoryGrantStore, token::KeyRing,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = CapabilityBroker::builder(MemoryGrantStore::new(1000)?, KeyRing::random(&SystemRng)?)
///     .with_policy(AllowAll)
///     .build()?;
/// broker.register(Capability::new("files", "1.0.0")?.with_permission("GET|PUT /**".parse()?))?;
///
/// let files = service_fn(async |request: Request<String>| {
///     assert!(request.extensions().get::<Grant>().is_some());
///     Ok::<_, std::convert::Infallible>(Response::new(request.uri().to_string()))
/// });
/// let service = CapabilityLayer::new(broker.clone()).layer(files);
///
/// let cache = Principal::new("runtime", "cache-7f3a");
/// let issued = broker.request(GrantRequest::new(cache, "files").with_insecure_bearer()).await?;
/// let narrowed = issued.token().attenuate(&Caveat::path_prefix("/public")?)?;
///
/// for (path, status) in [("/public/a?b", StatusCode::OK), ("/secret", StatusCode::UNAUTHORIZED)] {
///     let request = Request::get(format!("{}{path}", issued.path()))
///         .header("authorization", narrowed.header_value())
///         .body(String::new())?;
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct CapabilityLayer<G> {
    gate: Gate<G>,
}

impl<G: GrantStore> CapabilityLayer<G> {
    /// Guards all capabilities, each at `/capabilities/TYPE/ID/…`.
    ///
    /// `TYPE` is taken off the path with the rest: an inner service that is more than one capability must look at
    /// [`Grant::capability`](crate::Grant::capability) to know which one is called, and not at the path. Where two of them know
    /// the same path, a grant of one would open the other.
    pub fn new(broker: CapabilityBroker<G>) -> Self {
        let prefix = PREFIX.into();
        Self::at(broker, Route::Below { prefix, only: None })
    }

    /// Guards one capability, at whatever path the layer stands: for routes of your own. The path is judged, and
    /// passed on, as it is.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if there can be no capability of this type.
    pub fn for_capability(
        broker: CapabilityBroker<G>,
        capability: &str,
    ) -> Result<Self, InvalidConfig> {
        if !is_kind(capability) {
            return Err(InvalidConfig::new("capability", "the type of a capability"));
        }
        let capability = capability.into();
        Ok(Self::at(broker, Route::Any { capability }))
    }

    fn at(broker: CapabilityBroker<G>, route: Route) -> Self {
        let header = CredentialHeader::bearer();
        Self {
            gate: Gate {
                broker,
                refusals: Refusals::new([header.challenge()]),
                header,
                route,
                audience: None,
            },
        }
    }

    /// Guards what is at `PREFIX/TYPE/ID/…` instead; nothing may stand in front of the type if it is empty. After
    /// [`for_capability`](Self::for_capability), `TYPE` must be that one.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if it is neither empty nor a path, spelled canonically and without a slash at its end.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, InvalidConfig> {
        let is_path = crate::authorize::permissions::path::segments(prefix).is_some();
        if !(prefix.is_empty() || is_path && !prefix.ends_with('/')) {
            return Err(InvalidConfig::new(
                "prefix",
                "empty, or a canonical path without a slash at its end",
            ));
        }
        let prefix = prefix.into();
        let only = self.gate.route.only();
        self.gate.route = Route::Below { prefix, only };
        Ok(self)
    }

    /// Looks for the grant in this header instead.
    pub fn with_header(mut self, header: CredentialHeader) -> Self {
        self.gate.refusals.set_schemes([header.challenge()]);
        self.gate.header = header;
        self
    }

    /// The name this server goes by, for grants that were narrowed to an
    /// [audience](crate::grant::Caveat::audience). Without one, those are refused.
    pub fn with_audience(mut self, name: &str) -> Self {
        self.gate.audience = Some(name.into());
        self
    }

    /// The realm named in challenges: `plugins` by default.
    pub fn with_realm(mut self, realm: Realm) -> Self {
        self.gate.refusals.set_realm(realm);
        self
    }

    /// Gives refusals another body for plain HTTP callers, with its `content-type`; status and headers
    /// stay. gRPC and Connect callers get what their protocols prescribe.
    pub fn with_body<F>(mut self, body: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.gate.refusals.set_body(body);
        self
    }
}

impl<S, G> Layer<S> for CapabilityLayer<G> {
    type Service = CapabilityGuard<S, G>;

    fn layer(&self, inner: S) -> Self::Service {
        CapabilityGuard::new(inner, self.gate.clone())
    }
}

impl<G> Clone for CapabilityLayer<G> {
    fn clone(&self) -> Self {
        Self {
            gate: self.gate.clone(),
        }
    }
}

impl<G: fmt::Debug> fmt::Debug for CapabilityLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapabilityLayer")
            .field("gate", &self.gate)
            .finish()
    }
}
