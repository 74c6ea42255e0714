//! `PluginLifecycle` and `HealthService`: how the plugins are, and how the host is.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::sync::Arc;

use connectrpc::{
    ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use futures_util::TryStreamExt;

use super::{
    HostState,
    allowed::Act,
    fields,
    identity::Caller,
    own_words::refuse,
    registry::{Availability, Health},
    watch::{Watch, changes},
};
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
        let health = health(request.state.as_known()).ok_or_else(|| {
            refuse(
                ErrorCode::InvalidArgument,
                "state must be healthy, degraded or unhealthy",
            )
        })?;
        fields::text("reason", request.reason).map_err(super::invalid_field)?;
        fields::identifiers(
            "unavailable_dependencies",
            request.unavailable_dependencies.iter().copied(),
        )
        .map_err(super::invalid_field)?;

        self.0
            .directory
            .report_health(caller.owner(), health)
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
        if !is_own(request.service) {
            return Err(refuse(ErrorCode::NotFound, "unknown service"));
        }
        Response::ok(answer(own_status(&self.0)))
    }

    // Behind an identity, unlike `check`: so a caller may also ask for what plugins provide.
    async fn watch(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, HealthCheckRequest>,
    ) -> ServiceResult<ServiceStream<HealthCheckResponse>> {
        let caller = Caller::of(&ctx)?;
        let service: Box<str> = request.service.into();
        if !is_own(&service) {
            fields::identifier("service", &service).map_err(super::invalid_field)?;
            if !self.0.allows(caller.principal(), Act::Call, &service) {
                return Err(Act::Call.refused(caller.principal(), &service));
            }
        }
        let statuses = changes(Watch {
            session: self.0.identities.session(&caller),
            bell: self.0.directory.bell(&service),
            host: Arc::clone(&self.0),
            look: move |host: &HostState| {
                if is_own(&service) {
                    own_status(host)
                } else {
                    provided_status(host, &service)
                }
            },
        });
        Response::stream_ok(statuses.map_ok(answer))
    }
}

/// How a plugin is by its own word, if that is one.
pub(super) fn health(state: Option<HealthState>) -> Option<Health> {
    match state? {
        HealthState::Healthy => Some(Health::Healthy),
        HealthState::Degraded => Some(Health::Degraded),
        HealthState::Unhealthy => Some(Health::Unhealthy),
        HealthState::Unspecified => None,
    }
}

fn is_own(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

fn own_status(host: &HostState) -> ServingStatus {
    if host.readiness.is_ready() {
        ServingStatus::SERVING_STATUS_SERVING
    } else {
        ServingStatus::SERVING_STATUS_NOT_SERVING
    }
}

// Served by someone is served, and what nobody offers is unknown (which may change).
fn provided_status(host: &HostState, service: &str) -> ServingStatus {
    let overview = host.directory.overview(service);
    match (overview.availability, overview.provider) {
        (Availability::Unavailable, _) => ServingStatus::SERVING_STATUS_SERVICE_UNKNOWN,
        (_, Some(_)) => ServingStatus::SERVING_STATUS_SERVING,
        (_, None) => ServingStatus::SERVING_STATUS_NOT_SERVING,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
        ..Default::default()
    }
}

const SERVICES: &[&str] = &[
    HANDSHAKE_SERVICE_SERVICE_NAME,
    HEALTH_SERVICE_SERVICE_NAME,
    PLUGIN_LIFECYCLE_SERVICE_NAME,
    SERVICE_REGISTRY_SERVICE_NAME,
];
