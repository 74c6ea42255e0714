use std::fmt;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use tower_plugin_core::{Principal, Rejection, RequestHead};

use super::{Authorize, AuthorizeLayer};
use crate::refusal::Realm;

/// Refuses every request without a [`Principal`], and those a predicate does not permit.
///
/// It denies by default: where no [`AuthLayer`](crate::AuthLayer) has run, every caller gets 401 and
/// the predicate is not even asked. A caller who is known and not permitted gets 403 with
/// `error="insufficient_scope"` (RFC 6750, section 3.1).
///
/// ```
/// use tower_plugin_auth::{Principal, RequireLayer};
///
/// let anyone_known = RequireLayer::new();
/// let admins = RequireLayer::when(|principal, _request| principal.attribute("role") == Some("admin"));
/// # let _ = (anyone_known, admins);
/// ```
#[must_use]
pub struct RequireLayer<P = fn(&Principal, &RequestHead<'_>) -> bool> {
    layer: AuthorizeLayer<P>,
}

impl RequireLayer {
    /// Permits every principal everything.
    pub fn new() -> Self {
        Self {
            layer: AuthorizeLayer::new(|_, _| true),
        }
    }
}

impl<P> RequireLayer<P>
where
    P: Fn(&Principal, &RequestHead<'_>) -> bool,
{
    /// Permits what `permits` returns `true` for, given who is calling and the head of the request.
    pub fn when(permits: P) -> Self {
        Self {
            layer: AuthorizeLayer::new(permits),
        }
    }
}

impl<P> RequireLayer<P>
where
    P: Fn(&Principal, &RequestHead<'_>) -> bool + Clone,
{
    /// The realm named in challenges: `plugins` by default.
    pub fn with_realm(mut self, realm: Realm) -> Self {
        self.layer = self.layer.with_realm(realm);
        self
    }

    /// Gives refusals another body for plain HTTP callers, with its `content-type`; status and headers
    /// stay. gRPC and Connect callers get what their protocols prescribe.
    pub fn with_body<F>(mut self, body: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.layer = self.layer.with_body(body);
        self
    }
}

impl<P> Clone for RequireLayer<P> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
        }
    }
}

impl<S, P> Layer<S> for RequireLayer<P> {
    type Service = Authorize<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(inner)
    }
}

impl Default for RequireLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> fmt::Debug for RequireLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireLayer")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}
