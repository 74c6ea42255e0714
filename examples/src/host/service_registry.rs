//! `ServiceRegistry`: offers and discovery, in the name of the authenticated caller alone.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::sync::Arc;

use connectrpc::{
    ConnectError, ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};

use super::{
    HostState, fields,
    identity::Caller,
    own_words::refuse,
    registry::{Offer, Refusal, Selection},
};
use crate::proto::connectplugin::v1::{
    DiscoverServiceRequest, DiscoverServiceResponse, RegisterServiceRequest,
    RegisterServiceResponse, ServiceEndpoint, ServiceRegistry, UnregisterServiceRequest,
    UnregisterServiceResponse, WatchServiceEvent, WatchServiceRequest,
};

/// Serves `connectplugin.v1.ServiceRegistry`.
pub(super) struct Services(pub(super) Arc<HostState>);

impl ServiceRegistry for Services {
    async fn register_service(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, RegisterServiceRequest>,
    ) -> ServiceResult<RegisterServiceResponse> {
        let caller = Caller::of(&ctx)?;
        fields::identifier("service_type", request.service_type).map_err(super::invalid_field)?;
        let version = fields::version("version", request.version).map_err(super::invalid_field)?;
        fields::endpoint_path("endpoint_path", request.endpoint_path)
            .map_err(super::invalid_field)?;
        fields::metadata("metadata", request.metadata.iter().copied())
            .map_err(super::invalid_field)?;
        let offer = Offer {
            service_type: request.service_type.into(),
            version,
            endpoint_path: request.endpoint_path.into(),
            metadata: request
                .metadata
                .iter_unique()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };

        let registration_id = registration_id()?;
        let now = self.0.clock.wall();
        self.0
            .registry
            .lock()
            .register(caller.owner(), &registration_id, offer, now)
            .map_err(refusal)?;
        tracing::info!(
            runtime_id = caller.runtime_id(),
            service_type = request.service_type,
            "service registered"
        );
        Response::ok(RegisterServiceResponse {
            registration_id,
            ..Default::default()
        })
    }

    async fn unregister_service(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, UnregisterServiceRequest>,
    ) -> ServiceResult<UnregisterServiceResponse> {
        let caller = Caller::of(&ctx)?;
        self.0
            .registry
            .lock()
            .unregister(caller.runtime_id(), request.registration_id)
            .map_err(refusal)?;
        Response::ok(UnregisterServiceResponse::default())
    }

    async fn discover_service(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, DiscoverServiceRequest>,
    ) -> ServiceResult<DiscoverServiceResponse> {
        Caller::of(&ctx)?;
        fields::identifier("service_type", request.service_type).map_err(super::invalid_field)?;
        let min_version = match request.min_version {
            "" => None,
            version => Some(fields::version("min_version", version).map_err(super::invalid_field)?),
        };

        let now = self.0.clock.wall();
        let found = self
            .0
            .registry
            .lock()
            .discover(
                request.service_type,
                min_version.as_ref(),
                Selection::RoundRobin,
                now,
            )
            .map_err(refusal)?;
        Response::ok(DiscoverServiceResponse {
            endpoint: ServiceEndpoint {
                provider_id: found.runtime_id.as_ref().to_owned(),
                version: found.offer.version.to_string(),
                endpoint_url: format!(
                    "/services/{}/{}",
                    found.offer.service_type, found.runtime_id
                ),
                metadata: found.offer.metadata.iter().cloned().collect(),
                ..Default::default()
            }
            .into(),
            single_provider: found.single,
            ..Default::default()
        })
    }

    async fn watch_service(
        &self,
        ctx: RequestContext,
        _request: ServiceRequest<'_, WatchServiceRequest>,
    ) -> ServiceResult<ServiceStream<WatchServiceEvent>> {
        Caller::of(&ctx)?;
        Err(refuse(
            ErrorCode::Unimplemented,
            "this host does not stream changes; poll DiscoverService",
        ))
    }
}

fn registration_id() -> Result<String, ConnectError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no randomness for a registration id");
        refuse(
            ErrorCode::Internal,
            "the registration could not be recorded",
        )
    })?;
    Ok(format!("reg-{:032x}", u128::from_be_bytes(random)))
}

fn refusal(refusal: Refusal) -> ConnectError {
    let message = refusal.to_string();
    match refusal {
        Refusal::Full => refuse(ErrorCode::ResourceExhausted, message),
        Refusal::Taken => refuse(ErrorCode::AlreadyExists, message),
        Refusal::UnknownRegistration
        | Refusal::UnknownService
        | Refusal::VersionTooLow
        | Refusal::NoneHealthy => refuse(ErrorCode::NotFound, message),
    }
}
