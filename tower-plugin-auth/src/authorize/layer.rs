use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};
use tower_layer::Layer;
use tower_plugin_core::{Principal, Rejection};

use super::Require;
use crate::refusal::{Realm, Refusals};

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
#[derive(Clone)]
#[must_use]
pub struct RequireLayer<P = fn(&Principal, &Parts) -> bool> {
    permits: P,
    refusals: Refusals,
}

impl RequireLayer {
    /// Permits every principal everything.
    pub fn new() -> Self {
        Self {
            permits: |_, _| true,
            refusals: Refusals::default(),
        }
    }
}

impl<P> RequireLayer<P>
where
    P: Fn(&Principal, &Parts) -> bool,
{
    /// Permits what `permits` returns `true` for, given who is calling and the head of the request.
    pub fn when(permits: P) -> Self {
        Self {
            permits,
            refusals: Refusals::default(),
        }
    }

    /// The realm named in challenges: `plugins` by default.
    pub fn with_realm(mut self, realm: Realm) -> Self {
        self.refusals.realm = realm;
        self
    }

    /// Gives refusals another body for plain HTTP callers, with its `content-type`; status and headers
    /// stay. gRPC and Connect callers get what their protocols prescribe.
    pub fn with_body<F>(mut self, body: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.refusals.body = Some(Arc::new(body));
        self
    }
}

impl<S, P: Clone> Layer<S> for RequireLayer<P> {
    type Service = Require<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Require::new(inner, self.permits.clone(), self.refusals.clone())
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
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}
