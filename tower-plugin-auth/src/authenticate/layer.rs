use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tower_layer::Layer;
use tower_plugin_core::Rejection;

use super::{
    Auth, Authenticator,
    gate::{Anonymous, Gate},
    service::Shared,
};
use crate::refusal::{Realm, Refusals};

/// Lets a request through only when it is known who sent it, and tells the inner service who.
///
/// The [`Principal`](tower_plugin_core::Principal) is put in the extensions of the request. See the
/// [crate docs](crate) for an example and for what a refused caller is told.
#[derive(Debug)]
#[must_use]
pub struct AuthLayer<A> {
    shared: Arc<Shared<A>>,
}

impl<A: Authenticator> AuthLayer<A> {
    /// Asks this authenticator, once per request.
    pub fn new(authenticator: A) -> Self {
        Self::of(authenticator, Anonymous::Refuse)
    }

    /// As [`new`](Self::new), but a request without a credential passes: without a
    /// [`Principal`](tower_plugin_core::Principal), also where a layer further out had left one.
    ///
    /// A credential that was sent and is not accepted is refused all the same, and so is everything while
    /// nobody can tell. Who may do what anonymously is for the inner service to say; a
    /// [`RequireLayer`](crate::RequireLayer) further in lets nobody in without a principal.
    pub fn optional(authenticator: A) -> Self {
        Self::of(authenticator, Anonymous::Pass)
    }

    fn of(authenticator: A, anonymous: Anonymous) -> Self {
        let gate = Gate::new(&authenticator, anonymous);
        Self {
            shared: Arc::new(Shared {
                authenticator,
                gate,
            }),
        }
    }
}

impl<A: Authenticator + Clone> AuthLayer<A> {
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
        Arc::make_mut(&mut self.shared).gate.refusals_mut()
    }
}

impl<A> Clone for AuthLayer<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, A> Layer<S> for AuthLayer<A> {
    type Service = Auth<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, Arc::clone(&self.shared))
    }
}
