use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use connectrpc::{ConnectRpcService, DeadlinePolicy, Limits, Router as RpcRouter};
use http::StatusCode;
use tower::ServiceBuilder;
use tower_http::decompression::RequestDecompressionLayer;
use tower_plugin_auth::{
    AuthLayer, BearerAuthenticator, RequireLayer, RequireSecureTransportLayer, audit::AuditLayer,
    transport::SecureTransport,
};
use tower_plugin_core::ClientIp;
use tower_plugin_ratelimit::key;
use tower_plugin_validate::{SanitizeErrorsLayer, ValidateLayer, sanitize::PublicError};

use super::{
    HostState, Readiness,
    broker::Broker,
    capabilities::{mount, note_base},
    guard::{self, MAX_BODY},
    handshake::{BROKER, Handshakes},
    housekeeping,
    identity::PLUGIN_KIND,
    lifecycle::Lifecycle,
    metrics::{observe, scrape},
    options::Deadlines,
    own_words::OwnWords,
    proxy, rotate,
    service_registry::Services,
    unread::take_in_unread,
};
use crate::proto::connectplugin::{
    health::v1::HealthServiceExt,
    v1::{CapabilityBrokerExt, HandshakeServiceExt, PluginLifecycleExt, ServiceRegistryExt},
};

/// The host's services with everything that stands in front of them.
pub fn build(state: &Arc<HostState>) -> Router {
    build_with(state, Router::new())
}

/// The same with routes of your own beside the host's, behind the layers that stand before everything.
///
/// Nobody is authenticated on them.
///
/// # Panics
///
/// If one of them has a path of the host's.
pub fn build_with(state: &Arc<HostState>, own: Router) -> Router {
    housekeeping::start(state);
    let rpc = services(state, state.deadlines);
    let streams = services(state, STREAMS);
    let limits = &state.limits;
    // First is outermost.
    let identity = |policy| {
        ServiceBuilder::new()
            .layer(AuthLayer::new(BearerAuthenticator::new(
                state.identities.tokens().clone(),
            )))
            .layer(limits.layer(policy, key::Principal))
            .layer(RequireLayer::when(|caller, _| caller.kind() == PLUGIN_KIND))
    };
    let handshakes = routes(&["/connectplugin.v1.HandshakeService/Handshake"], &rpc)
        .layer(limits.layer(&limits.handshake, ClientIp::peer()));
    let health = routes(&["/connectplugin.health.v1.HealthService/Check"], &rpc);
    let authenticated = [
        (
            &limits.broker,
            &["/connectplugin.v1.CapabilityBroker/RequestCapability"][..],
        ),
        (
            &limits.discover,
            &["/connectplugin.v1.ServiceRegistry/DiscoverService"],
        ),
        (
            &limits.health,
            &["/connectplugin.v1.PluginLifecycle/ReportHealth"],
        ),
        (
            &limits.register,
            &[
                "/connectplugin.v1.ServiceRegistry/RegisterService",
                "/connectplugin.v1.ServiceRegistry/UnregisterService",
            ],
        ),
    ]
    .into_iter()
    .fold(Router::new(), |router, (policy, paths)| {
        router.merge(routes(paths, &rpc).layer(identity(policy)))
    });
    // At the address that handshakes tell, too.
    let broker = Router::new().nest(
        BROKER,
        routes(
            &["/connectplugin.v1.CapabilityBroker/RequestCapability"],
            &rpc,
        )
        .layer(identity(&limits.broker)),
    );
    let watches = routes(
        &[
            "/connectplugin.health.v1.HealthService/Watch",
            "/connectplugin.v1.ServiceRegistry/WatchService",
        ],
        &streams,
    )
    .layer(
        ServiceBuilder::new()
            .layer(identity(&limits.watch))
            .layer(state.watching.clone()),
    );
    let calls = Router::new()
        .route("/services/{*call}", any(proxy::call))
        .with_state(Arc::clone(state))
        .layer(
            ServiceBuilder::new()
                .layer(from_fn(proxy::check_head))
                .layer(identity(&limits.service))
                .layer(state.proxy.in_flight()),
        );

    let metrics = if state.public_metrics {
        Router::new().route("/metrics", get(scrape).with_state(Arc::clone(state)))
    } else {
        Router::new()
    };
    // In clear on purpose, unless told otherwise.
    let transport = RequireSecureTransportLayer::new(if state.require_tls {
        SecureTransport::Enforce
    } else {
        SecureTransport::Off
    });

    // Last is outermost, in the order of the table in this crate's README. The probes are outside of the limit by address: whoever asks them shares an
    // address with the traffic.
    let host = Router::new()
        .merge(handshakes)
        .merge(health)
        .merge(authenticated)
        .merge(broker)
        .layer(from_fn(note_base))
        .merge(mount(state))
        .merge(watches)
        .merge(calls)
        .merge(rotate::router(state))
        .merge(metrics)
        .merge(own)
        .fallback(guard::unknown_path)
        .layer(limits.layer(&limits.client, ClientIp::peer()))
        .route("/healthz", get("ok"))
        .route("/readyz", get(readyz).with_state(state.readiness()))
        .layer(ValidateLayer::new(state.rules.clone()))
        .layer(from_fn(guard::take_json_for_connect))
        .layer(from_fn(guard::catch_panic))
        .layer(transport)
        .layer(from_fn(take_in_unread))
        .layer(SanitizeErrorsLayer::new());
    let host = match &state.audit {
        Some(log) => host.layer(AuditLayer::new(Arc::clone(log))),
        None => host,
    };
    host.layer(from_fn_with_state(state.telemetry.clone(), observe))
}

// Closed: what is not listed is not served, whatever the RPC runtime would make of it.
pub(super) fn routes(paths: &[&str], rpc: &ConnectRpcService) -> Router {
    let router = paths.iter().fold(Router::new(), |router, path| {
        router.route_service(path, rpc.clone())
    });
    // Last is outermost. What RPCs answer is in the host's own words, and meant for callers.
    router
        .layer(map_response(async |mut response: Response| {
            response.extensions_mut().insert(PublicError);
            response
        }))
        .layer(from_fn(guard::take_in_body))
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .layer(from_fn(guard::limit_wire_size))
        .layer(from_fn(guard::check_head))
}

fn services(state: &Arc<HostState>, deadlines: Deadlines) -> ConnectRpcService {
    let lifecycle = Arc::new(Lifecycle(Arc::clone(state)));
    let router = Arc::new(Handshakes(Arc::clone(state))).register(RpcRouter::new());
    let router = Arc::new(Services(Arc::clone(state))).register(router);
    let router = Arc::new(Broker(Arc::clone(state))).register(router);
    let router = PluginLifecycleExt::register(Arc::clone(&lifecycle), router);
    let router = HealthServiceExt::register(lifecycle, router);
    within(router, deadlines)
}

/// RPC services behind what reads for them.
pub(super) fn within(router: RpcRouter, deadlines: Deadlines) -> ConnectRpcService {
    ConnectRpcService::new(router)
        .with_interceptor(OwnWords)
        .with_limits(
            Limits::default()
                .with_max_request_body_size(MAX_BODY + ENVELOPE)
                .with_max_message_size(MAX_BODY),
        )
        .with_deadline_policy(
            DeadlinePolicy::new()
                .with_max(deadlines.max)
                .with_default_timeout(deadlines.default)
                .with_enforce_on_streams(true),
        )
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    if readiness.is_ready() {
        (StatusCode::OK, Extension(PublicError), "ready")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Extension(PublicError),
            "not ready",
        )
    }
}

const ENVELOPE: usize = 5;
// Then whoever watches asks again, and is counted again.
const STREAMS: Deadlines = Deadlines {
    default: Duration::from_secs(3600),
    max: Duration::from_secs(3600),
};
