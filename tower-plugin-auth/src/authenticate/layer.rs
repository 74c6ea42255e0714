use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use tower_plugin_core::Rejection;

use super::{Auth, Authenticator};
use crate::refusal::{Realm, Refusals};

/// Lets a request through only when it is known who sent it, and tells the inner service who.
///
/// The [`Principal`](tower_plugin_core::Principal) is put in the extensions of the request. See the
/// [crate docs](crate) for an example and for what a refused caller is told.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer<A> {
    authenticator: A,
    refusals: Refusals,
}

impl<A: Authenticator> AuthLayer<A> {
    /// Asks this authenticator, once per request.
    pub fn new(authenticator: A) -> Self {
        Self {
            authenticator,
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

impl<S, A: Authenticator + Clone> Layer<S> for AuthLayer<A> {
    type Service = Auth<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, self.authenticator.clone(), self.refusals.clone())
    }
}
