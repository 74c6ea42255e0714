//! Grants in memory and in Redis: the same promises, kept by both, and by replicas together.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, Response, header::AUTHORIZATION};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_plugin_auth::{
    Capability, CapabilityBroker, CapabilityLayer, Clock, GrantRequest, ManualClock, Principal,
    SystemRng,
    authorize::AllowAll,
    broker::{IssuedGrant, RequestError},
    grant::{Asked, Caveat, DenialReason, GrantRecord, GrantToken},
    store::{GrantStore, MAX_LINKS, MemoryGrantStore, RedisStore, SharedGrantStore},
    token::{KeyRing, Pepper},
};
use tower_plugin_tests::redis::RedisServer;

mod allocations;
mod promises;
mod races;

type Broker = CapabilityBroker<SharedGrantStore>;

/// Stores of this capacity: in memory, shared by all that use it, and in Redis, over two connections.
async fn stores(capacity: usize) -> (Vec<[SharedGrantStore; 2]>, RedisServer) {
    let server = RedisServer::start().await;
    let memory = SharedGrantStore::new(MemoryGrantStore::new(capacity).unwrap());
    let redis = || SharedGrantStore::new(redis(&server.url(), capacity).grants());
    let stores = vec![[memory.clone(), memory], [redis(), redis()]];
    (stores, server)
}

fn redis(url: &str, capacity: usize) -> RedisStore {
    RedisStore::builder(url)
        .with_capacity(u64::try_from(capacity).unwrap())
        // A machine that is busy with other tests is no server that is down.
        .with_deadline(Duration::from_secs(20))
        .build()
        .unwrap()
}

fn keys() -> KeyRing {
    KeyRing::new(Pepper::new(1, &[7; 32]).unwrap(), []).unwrap()
}

/// One replica; all have the same keys.
fn broker(store: SharedGrantStore, clock: &ManualClock) -> Broker {
    let broker = CapabilityBroker::builder(store, keys())
        .with_policy(AllowAll)
        .with_max_per_principal(5)
        .with_clock(clock.clone())
        .build()
        .unwrap();
    for kind in ["files", "logger"] {
        let capability = Capability::new(kind, "1.0.0").unwrap();
        let capability = capability.with_permission("* /**".parse().unwrap());
        broker.register(capability).unwrap();
    }
    broker
}

fn request_by(owner: &str, kind: &str) -> GrantRequest {
    let owner = Principal::new("runtime", owner.to_owned());
    GrantRequest::new(owner, kind).with_insecure_bearer()
}

async fn granted(broker: &Broker, owner: &str, kind: &str) -> IssuedGrant {
    broker.request(request_by(owner, kind)).await.unwrap()
}

/// Presents it at a server of its capability: why it does not pass, if it does not.
async fn present(broker: &Broker, kind: &str, token: &GrantToken) -> Option<DenialReason> {
    let calls = Arc::default();
    let response = service(broker, &calls).oneshot(request(kind, token));
    let response = response.await.unwrap();
    let reason = response.extensions().get::<DenialReason>().copied();
    assert_eq!(
        response.status().is_success(),
        reason.is_none(),
        "{response:?}"
    );
    assert_eq!(calls.load(SeqCst), usize::from(reason.is_none()));
    reason
}

fn request(kind: &str, token: &GrantToken) -> Request<()> {
    let path = format!("/capabilities/{kind}/{}/x", token.id());
    let request = Request::get(path).header(AUTHORIZATION, token.header_value());
    request.body(()).unwrap()
}

/// Counts how often the capability is called.
fn service(
    broker: &Broker,
    calls: &Arc<AtomicUsize>,
) -> impl Service<
    Request<()>,
    Response = Response<tower_plugin_auth::ResponseBody<String>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ use<> {
    let calls = Arc::clone(calls);
    CapabilityLayer::new(broker.clone()).layer(service_fn(move |_| {
        calls.fetch_add(1, SeqCst);
        std::future::ready(Ok(Response::new(String::new())))
    }))
}

fn limit(count: u32) -> NonZeroU32 {
    count.try_into().unwrap()
}
