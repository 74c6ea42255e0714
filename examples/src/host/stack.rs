use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::State,
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::{any, get},
};
use http::StatusCode;
use tower::ServiceBuilder;
use tower_plugin_auth::{
    AuthLayer, AuthorizeLayer, BearerAuthenticator, RefreshHintLayer, RequireLayer,
    RequireSecureTransportLayer, audit::AuditLayer, transport::SecureTransport,
};
use tower_plugin_core::ClientIp;
use tower_plugin_ratelimit::key;
use tower_plugin_validate::{SanitizeErrorsLayer, ValidateLayer, sanitize::PublicError};

use super::{
    HostState, Readiness,
    capabilities::{mount, note_base},
    guard,
    handshake::BROKER,
    housekeeping,
    identity::PLUGIN_KIND,
    metrics::{observe, scrape},
    proxy, rotate,
    rpc::{Rpc, STREAMS},
    steps::Steps,
    unread::take_in_unread,
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
    assemble(state, own, &Steps::default())
}

/// The same, and `watch` is told of each layer that a request comes to, in that order: to see who has looked at
/// a request that was refused. It must not block.
///
/// # Panics
///
/// As [`build_with`].
pub fn build_watched(
    state: &Arc<HostState>,
    own: Router,
    watch: impl Fn(&'static str) + Send + Sync + 'static,
) -> Router {
    assemble(state, own, &Steps::told_to(watch))
}

/// Puts the layers in front of the services, in the order of the table in this crate's README. What stands around
/// the RPCs themselves is in [`Rpc::at`].
fn assemble(state: &Arc<HostState>, own: Router, steps: &Steps) -> Router {
    housekeeping::start(state);
    let rpc = Rpc::of(state, state.deadlines, steps);
    let streams = Rpc::of(state, STREAMS, steps);
    let limits = &state.limits;
    // In a builder, first is outermost.
    let identity = |policy| {
        let tokens = BearerAuthenticator::new(state.identities.tokens().clone());
        let is_plugin = RequireLayer::when(|caller, _| caller.kind() == PLUGIN_KIND);
        ServiceBuilder::new()
            .layer(steps.to("authentication", AuthLayer::new(tokens)))
            .layer(steps.to("plugin quota", limits.layer(policy, key::Principal)))
            .layer(steps.to("plugin", is_plugin))
    };
    // Not where the answer is another token.
    let identity_and_hint = |policy| {
        let hint = RefreshHintLayer::new().with_clock(Arc::clone(&state.clock));
        ServiceBuilder::new()
            .layer(identity(policy))
            .layer(steps.to("refresh hint", hint))
    };
    let handshakes = rpc
        .at(&["/connectplugin.v1.HandshakeService/Handshake"])
        .layer(steps.to(
            "handshake quota",
            limits.layer(&limits.handshake, ClientIp::peer()),
        ));
    let health = rpc.at(&["/connectplugin.health.v1.HealthService/Check"]);
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
        router.merge(rpc.at(paths).layer(identity_and_hint(policy)))
    });
    // At the address that handshakes tell, too.
    let broker = Router::new().nest(
        BROKER,
        rpc.at(&["/connectplugin.v1.CapabilityBroker/RequestCapability"])
            .layer(identity_and_hint(&limits.broker)),
    );
    let watches = streams
        .at(&[
            "/connectplugin.health.v1.HealthService/Watch",
            "/connectplugin.v1.ServiceRegistry/WatchService",
        ])
        .layer(
            ServiceBuilder::new()
                .layer(identity_and_hint(&limits.watch))
                .layer(steps.to("watches", state.watching.clone())),
        );
    let allowed = AuthorizeLayer::new(state.allowed.clone());
    let calls = Router::new()
        .route("/services/{*call}", any(proxy::call))
        .with_state(Arc::clone(state))
        .layer(
            ServiceBuilder::new()
                .layer(steps.to("call head", from_fn(proxy::check_head)))
                .layer(identity_and_hint(&limits.service))
                .layer(steps.to("allowed services", allowed))
                .layer(steps.to("calls", state.proxy.in_flight())),
        );
    let rotate = rotate::router(state).layer(identity(&limits.rotate));
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

    // Last is outermost. The probes are outside of the limit by address: whoever asks them shares an address with
    // the traffic.
    let host = Router::new()
        .merge(handshakes)
        .merge(health)
        .merge(authenticated)
        .merge(broker)
        .layer(steps.to("base", from_fn(note_base)))
        .merge(mount(state, steps))
        .merge(watches)
        .merge(calls)
        .merge(rotate)
        .merge(metrics)
        .merge(own)
        .fallback(guard::unknown_path)
        .layer(steps.to(
            "client quota",
            limits.layer(&limits.client, ClientIp::peer()),
        ))
        .route("/healthz", get("ok"))
        .route("/readyz", get(readyz).with_state(state.readiness()))
        .layer(steps.to("validation", ValidateLayer::new(state.rules.clone())))
        .layer(steps.to("connect json", from_fn(guard::take_json_for_connect)))
        .layer(steps.to("panics", from_fn(guard::catch_panic)))
        .layer(steps.to("transport", transport))
        .layer(steps.to("unread body", from_fn(take_in_unread)))
        .layer(steps.to("errors", SanitizeErrorsLayer::new()));
    let host = match &state.audit {
        Some(log) => host.layer(steps.to("audit", AuditLayer::new(Arc::clone(log)))),
        None => host,
    };
    host.layer(steps.to(
        "request id",
        from_fn_with_state(state.telemetry.clone(), observe),
    ))
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
