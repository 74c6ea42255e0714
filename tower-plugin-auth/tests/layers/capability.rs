//! What reaches a capability, and what does not.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{
    Request, Response, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_auth::{
    Answer, AuthLayer, BearerAuthenticator, Capability, CapabilityBroker, CapabilityLayer, Clock,
    Grant, GrantEvent, GrantRequest, ManualClock, Principal, StoreError, SystemRng, TlsInfo,
    authenticate::{ApiKeyAuthenticator, ApiKeys, CredentialHeader, FirstOf},
    authorize::AllowAll,
    broker::{CapabilityBrokerBuilder, GrantRevocation, IssuedGrant, RequestError},
    grant::{Asked, Caveat, CaveatKind, DenialReason, GrantRecord, GrantToken, Thumbprint, Uses},
    store::{
        Counted, FoundGrant, GrantStore, InsertGrantError, MemoryGrantStore, SharedGrantStore,
    },
    token::{KeyRing, TokenId},
};

use crate::support::{Body, bearer, issue, memory_tokens, text};

mod grants;
mod regressions;
mod requests;
mod stores;

type Broker = CapabilityBroker<MemoryGrantStore>;

fn builder(clock: &ManualClock) -> CapabilityBrokerBuilder<MemoryGrantStore> {
    let keys = KeyRing::random(&SystemRng).unwrap();
    CapabilityBroker::builder(MemoryGrantStore::new(100).unwrap(), keys)
        .with_policy(AllowAll)
        .with_clock(clock.clone())
}

/// Offers `logger` 1.2.0 for all RPCs of one service, and `files` 2.0.0 for everything.
fn offering<S: GrantStore>(broker: CapabilityBroker<S>) -> CapabilityBroker<S> {
    let rpcs = "POST /capability.logger.v1.Logger/*".parse().unwrap();
    let logger = Capability::new("logger", "1.2.0").unwrap();
    broker.register(logger.with_permission(rpcs)).unwrap();
    let files = Capability::new("files", "2.0.0").unwrap();
    let all = "* /**".parse().unwrap();
    broker.register(files.with_permission(all)).unwrap();
    broker
}

fn broker(clock: &ManualClock) -> Broker {
    offering(builder(clock).build().unwrap())
}

fn cache() -> Principal {
    Principal::new("runtime", "cache-7f3a")
}

async fn granted<S: GrantStore>(broker: &CapabilityBroker<S>, capability: &str) -> IssuedGrant {
    let request = GrantRequest::new(cache(), capability);
    broker.request(request).await.unwrap()
}

/// By its owner, at what the capability knows as `path`.
fn request(token: &GrantToken, capability: &str, path: &str) -> Request<Body> {
    let path = format!("/capabilities/{capability}/{}{path}", token.id());
    let mut request = at(&path, Some(token));
    request.extensions_mut().insert(cache());
    request
}

fn at(path: &str, token: Option<&GrantToken>) -> Request<Body> {
    let request = Request::post(path);
    let request = match token {
        Some(token) => request.header(AUTHORIZATION, token.header_value()),
        None => request,
    };
    request.body(Body::default()).unwrap()
}

/// Remembers what it is called with.
#[derive(Clone, Debug, Default)]
struct Capabilities(Arc<Mutex<Vec<Parts>>>);

impl Capabilities {
    fn calls(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn last(&self) -> Parts {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    fn behind<S: GrantStore>(
        &self,
        broker: &CapabilityBroker<S>,
    ) -> impl Service<
        Request<Body>,
        Response = Response<tower_plugin_auth::ResponseBody<Body>>,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone
    + use<S> {
        self.within(&CapabilityLayer::new(broker.clone()))
    }

    fn within<S: GrantStore>(
        &self,
        layer: &CapabilityLayer<S>,
    ) -> impl Service<
        Request<Body>,
        Response = Response<tower_plugin_auth::ResponseBody<Body>>,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone
    + use<S> {
        let seen = self.clone();
        layer.layer(service_fn(move |request: Request<Body>| {
            seen.0.lock().unwrap().push(request.into_parts().0);
            std::future::ready(Ok(Response::new(Body::default())))
        }))
    }
}

fn reason<B>(response: &Response<B>) -> DenialReason {
    *response.extensions().get::<DenialReason>().unwrap()
}

fn limited(count: u32) -> std::num::NonZeroU32 {
    count.try_into().unwrap()
}

const LOG: &str = "/capability.logger.v1.Logger/Log";
