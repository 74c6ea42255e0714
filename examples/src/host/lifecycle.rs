//! `PluginLifecycle` and `HealthService`: how the plugins are, and how the host is.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::sync::Arc;

use connectrpc::{
    ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};

use super::{HostState, fields, identity::Caller, own_words::refuse, registry::Health};
use crate::proto::connectplugin::{
    health::v1::{
        HEALTH_SERVICE_SERVICE_NAME, HealthCheckRequest, HealthCheckResponse, HealthService,
        ServingStatus,
    },
    v1::{
        HANDSHAKE_SERVICE_SERVICE_NAME, HealthState, PLUGIN_LIFECYCLE_SERVICE_NAME,
        PluginLifecycle, ReportHealthRequest, ReportHealthResponse, SERVICE_REGISTRY_SERVICE_NAME,
    },
};

/// Serves `connectplugin.v1.PluginLifecycle` and `connectplugin.health.v1.HealthService`.
pub(super) struct Lifecycle(pub(super) Arc<HostState>);

impl PluginLifecycle for Lifecycle {
    async fn report_health(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, ReportHealthRequest>,
    ) -> ServiceResult<ReportHealthResponse> {
        let caller = Caller::of(&ctx)?;
        let health = match request.state.as_known() {
            Some(HealthState::Healthy) => Health::Healthy,
            Some(HealthState::Degraded) => Health::Degraded,
            Some(HealthState::Unhealthy) => Health::Unhealthy,
            Some(HealthState::Unspecified) | None => {
                return Err(refuse(
                    ErrorCode::InvalidArgument,
                    "state must be healthy, degraded or unhealthy",
                ));
            }
        };
        fields::text("reason", request.reason).map_err(super::invalid_field)?;
        fields::identifiers(
            "unavailable_dependencies",
            request.unavailable_dependencies.iter().copied(),
        )
        .map_err(super::invalid_field)?;

        let now = self.0.clock.wall();
        self.0
            .registry
            .lock()
            .report_health(caller.owner(), health, now)
            .map_err(|refusal| refuse(ErrorCode::ResourceExhausted, refusal.to_string()))?;
        tracing::debug!(runtime_id = caller.runtime_id(), ?health, "health reported");
        Response::ok(ReportHealthResponse::default())
    }
}

impl HealthService for Lifecycle {
    // Answers for the host's own services only: which plugins are there is no business of a caller
    // without an identity.
    async fn check(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, HealthCheckRequest>,
    ) -> ServiceResult<HealthCheckResponse> {
        if !request.service.is_empty() && !SERVICES.contains(&request.service) {
            return Err(refuse(ErrorCode::NotFound, "unknown service"));
        }
        let status = if self.0.readiness.is_ready() {
            ServingStatus::SERVING_STATUS_SERVING
        } else {
            ServingStatus::SERVING_STATUS_NOT_SERVING
        };
        Response::ok(HealthCheckResponse {
            status: status.into(),
            ..Default::default()
        })
    }

    async fn watch(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, HealthCheckRequest>,
    ) -> ServiceResult<ServiceStream<HealthCheckResponse>> {
        Err(refuse(
            ErrorCode::Unimplemented,
            "this host does not stream its health; poll Check",
        ))
    }
}

const SERVICES: &[&str] = &[
    HANDSHAKE_SERVICE_SERVICE_NAME,
    HEALTH_SERVICE_SERVICE_NAME,
    PLUGIN_LIFECYCLE_SERVICE_NAME,
    SERVICE_REGISTRY_SERVICE_NAME,
];
