//! The RPC services, and what stands directly in front of them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn, map_response},
    response::Response,
};
use connectrpc::{ConnectRpcService, DeadlinePolicy, Limits, Router as RpcRouter};
use tower_http::decompression::RequestDecompressionLayer;
use tower_plugin_validate::{
    body::{BodyGuardLayer, BodyLimits},
    limits::InvalidLimit,
    sanitize::PublicError,
};

use super::{
    HostState,
    broker::Broker,
    guard::{self, MAX_BODY},
    handshake::Handshakes,
    lifecycle::Lifecycle,
    options::Deadlines,
    own_words::OwnWords,
    service_registry::Services,
    steps::Steps,
    unread::take_in_too_large,
};
use crate::proto::connectplugin::{
    health::v1::HealthServiceExt,
    v1::{CapabilityBrokerExt, HandshakeServiceExt, PluginLifecycleExt, ServiceRegistryExt},
};

/// RPC services, to be put at paths.
pub(super) struct Rpc {
    service: ConnectRpcService,
    body: BodyGuardLayer,
    steps: Steps,
}

impl Rpc {
    pub(super) fn new(
        router: RpcRouter,
        deadlines: Deadlines,
        body: BodyGuardLayer,
        steps: &Steps,
    ) -> Self {
        let service = ConnectRpcService::new(router)
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
            );
        Self {
            service,
            body,
            steps: steps.clone(),
        }
    }

    /// Those of the host.
    pub(super) fn of(state: &Arc<HostState>, deadlines: Deadlines, steps: &Steps) -> Self {
        let lifecycle = Arc::new(Lifecycle(Arc::clone(state)));
        let router = Arc::new(Handshakes(Arc::clone(state))).register(RpcRouter::new());
        let router = Arc::new(Services(Arc::clone(state))).register(router);
        let router = Arc::new(Broker(Arc::clone(state))).register(router);
        let router = PluginLifecycleExt::register(Arc::clone(&lifecycle), router);
        let router = HealthServiceExt::register(lifecycle, router);
        Self::new(router, deadlines, state.body, steps)
    }

    /// Closed: what is not listed is not served, whatever the RPC runtime would make of it.
    pub(super) fn at(&self, paths: &[&str]) -> Router {
        let router = paths.iter().fold(Router::new(), |router, path| {
            router.route_service(path, self.service.clone())
        });
        let steps = &self.steps;
        // Last is outermost. What RPCs answer is in the host's own words, and meant for callers.
        router
            .layer(map_response(async |mut response: Response| {
                response.extensions_mut().insert(PublicError);
                response
            }))
            .layer(steps.to("whole body", from_fn(guard::take_in_body)))
            .layer(steps.to("unfolded size", self.body))
            .layer(steps.to(
                "decompression",
                RequestDecompressionLayer::new().pass_through_unaccepted(true),
            ))
            .layer(steps.to("size", self.body))
            .layer(steps.to("unread body", from_fn(take_in_too_large)))
            .layer(steps.to("rpc head", from_fn(guard::check_head)))
    }
}

/// Holds the bodies of RPCs to [`MAX_BODY`].
pub(super) fn body_guard() -> Result<BodyGuardLayer, InvalidLimit> {
    let most = MAX_BODY as u64;
    let limits = BodyLimits::http()
        .to_builder()
        .body_bytes(most)
        .message_bytes(most)
        .stream_bytes(most + ENVELOPE as u64)
        .build()?;
    Ok(BodyGuardLayer::new(limits))
}

/// What precedes each message of a stream, in bytes.
const ENVELOPE: usize = 5;
/// Then whoever watches asks again, and is counted again.
pub(super) const STREAMS: Deadlines = Deadlines {
    default: Duration::from_secs(3600),
    max: Duration::from_secs(3600),
};
