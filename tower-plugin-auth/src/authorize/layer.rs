use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use tower_plugin_core::Rejection;

use super::{Authorize, Authorizer, service::Shared};
use crate::refusal::{Realm, Refusals};

/// Refuses every request that a [`Permissions`](super::Permissions) does not permit its principal.
///
/// It denies by default: without a [`Principal`](tower_plugin_core::Principal) it is 401, and nobody is
/// asked; a caller who is known and not permitted gets 403 with `error="insufficient_scope"` (RFC 6750,
/// section 3.1), in its own protocol. What may be done by everybody who is known is said by
/// [`AllowAll`](super::AllowAll).
///
/// Paths are compared as the layer sees them: inside axum's `Router::nest`, or after any other layer that rewrites
/// them, that is what is left of them.
///
/// ```
/// use tower_plugin_auth::{AuthorizeLayer, authorize::{Callers, Permission, Permissions}};
///
/// let permissions = Permissions::new()
///     .permit(Callers::any(), "GET|HEAD /v1/items/*".parse()?)
///     .permit(Callers::attribute("role", "admin"), "* /v1/**".parse()?)
///     .permit(Callers::kind("runtime"), Permission::rpc("cache.v1.Cache", "*")?);
/// let layer = AuthorizeLayer::new(permissions);
/// # let _ = layer;
/// # Ok::<_, tower_plugin_auth::authorize::InvalidPermission>(())
/// ```
#[must_use]
pub struct AuthorizeLayer<A> {
    shared: Arc<Shared<A>>,
}

impl<A: Authorizer> AuthorizeLayer<A> {
    /// Permits what `authorizer` does.
    pub fn new(authorizer: A) -> Self {
        let refusals = Refusals::default();
        Self {
            shared: Arc::new(Shared {
                authorizer,
                refusals,
            }),
        }
    }
}

impl<A: Authorizer + Clone> AuthorizeLayer<A> {
    /// The realm named in challenges: `plugins` by default.
    pub fn with_realm(mut self, realm: Realm) -> Self {
        self.refusals_mut().set_realm(realm);
        self
    }

    /// Gives refusals another body for plain HTTP callers, with its `content-type`; status and headers
    /// stay. gRPC and Connect callers get what their protocols prescribe.
    pub fn with_body<F>(mut self, body: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.refusals_mut().set_body(body);
        self
    }

    fn refusals_mut(&mut self) -> &mut Refusals {
        &mut Arc::make_mut(&mut self.shared).refusals
    }
}

impl<A> Clone for AuthorizeLayer<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, A> Layer<S> for AuthorizeLayer<A> {
    type Service = Authorize<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorize::new(inner, Arc::clone(&self.shared))
    }
}

impl<A> fmt::Debug for AuthorizeLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer")
            .field("refusals", &self.shared.refusals)
            .finish_non_exhaustive()
    }
}
