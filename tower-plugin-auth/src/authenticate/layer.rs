use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use tower_plugin_core::Rejection;

use super::{
    Auth, Authenticator,
    gate::{Anonymous, Gate},
};
use crate::refusal::Realm;

/// Lets a request through only when it is known who sent it, and tells the inner service who.
///
/// The [`Principal`](tower_plugin_core::Principal) is put in the extensions of the request. See the
/// [crate docs](crate) for an example and for what a refused caller is told.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer<A> {
    authenticator: A,
    gate: Gate,
}

impl<A: Authenticator> AuthLayer<A> {
    /// Asks this authenticator, once per request.
    pub fn new(authenticator: A) -> Self {
        Self {
            gate: Gate::new(&authenticator, Anonymous::Refuse),
            authenticator,
        }
    }

    /// As [`new`](Self::new), but a request without a credential passes: without a
    /// [`Principal`](tower_plugin_core::Principal), also where a layer further out had left one.
    ///
    /// A credential that was sent and is not accepted is refused all the same, and so is everything while
    /// nobody can tell. Who may do what anonymously is for the inner service to say; a
    /// [`RequireLayer`](crate::RequireLayer) further in lets nobody in without a principal.
    pub fn optional(authenticator: A) -> Self {
        Self {
            gate: Gate::new(&authenticator, Anonymous::Pass),
            authenticator,
        }
    }

    /// The realm named in challenges: `plugins` by default.
    pub fn with_realm(mut self, realm: Realm) -> Self {
        self.gate.refusals_mut().set_realm(realm);
        self
    }

    /// Gives refusals another body for plain HTTP callers, with its `content-type`; status and headers
    /// stay. gRPC and Connect callers get what their protocols prescribe.
    pub fn with_body<F>(mut self, body: F) -> Self
    where
        F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.gate.refusals_mut().set_body(body);
        self
    }
}

impl<S, A: Authenticator + Clone> Layer<S> for AuthLayer<A> {
    type Service = Auth<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, self.authenticator.clone(), self.gate.clone())
    }
}
