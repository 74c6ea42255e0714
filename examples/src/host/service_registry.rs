//! `ServiceRegistry`: offers and discovery, in the name of the authenticated caller alone.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::sync::Arc;

use connectrpc::{
    ConnectError, ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use futures_util::TryStreamExt;

use super::{
    HostState,
    allowed::Act,
    fields,
    identity::Caller,
    own_words::refuse,
    registry::{Availability, Offer, Overview, Refusal},
    watch::{Watch, changes},
};
use crate::proto::connectplugin::v1::{
    DiscoverServiceRequest, DiscoverServiceResponse, RegisterServiceRequest,
    RegisterServiceResponse, ServiceEndpoint, ServiceRegistry, ServiceState,
    UnregisterServiceRequest, UnregisterServiceResponse, WatchServiceEvent, WatchServiceRequest,
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
        self.allow(&caller, Act::Register, request.service_type)?;
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
        self.0
            .directory
            .register(caller.owner(), &registration_id, offer)
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
            .directory
            .unregister(caller.runtime_id(), request.registration_id)
            .map_err(refusal)?;
        Response::ok(UnregisterServiceResponse::default())
    }

    async fn discover_service(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, DiscoverServiceRequest>,
    ) -> ServiceResult<DiscoverServiceResponse> {
        let caller = Caller::of(&ctx)?;
        fields::identifier("service_type", request.service_type).map_err(super::invalid_field)?;
        self.allow(&caller, Act::Call, request.service_type)?;
        let min_version = match request.min_version {
            "" => None,
            version => Some(fields::version("min_version", version).map_err(super::invalid_field)?),
        };

        let found = self
            .0
            .directory
            .discover(request.service_type, min_version.as_ref())
            .map_err(refusal)?;
        Response::ok(DiscoverServiceResponse {
            endpoint: endpoint(&found.runtime_id, &found.offer).into(),
            single_provider: found.single,
            ..Default::default()
        })
    }

    async fn watch_service(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, WatchServiceRequest>,
    ) -> ServiceResult<ServiceStream<WatchServiceEvent>> {
        let caller = Caller::of(&ctx)?;
        fields::identifier("service_type", request.service_type).map_err(super::invalid_field)?;
        self.allow(&caller, Act::Call, request.service_type)?;
        let service_type: Box<str> = request.service_type.into();
        let watched = service_type.clone();
        let overviews = changes(Watch {
            session: self.0.identities.session(&caller),
            bell: self.0.directory.bell(&service_type),
            host: Arc::clone(&self.0),
            look: move |host: &HostState| host.directory.overview(&watched),
        });
        Response::stream_ok(overviews.map_ok(move |overview| event(&service_type, &overview)))
    }
}

impl Services {
    fn allow(&self, caller: &Caller<'_>, act: Act, service_type: &str) -> Result<(), ConnectError> {
        match self.0.allows(caller.principal(), act, service_type) {
            true => Ok(()),
            false => Err(act.refused(caller.principal(), service_type)),
        }
    }
}

fn event(service_type: &str, overview: &Overview) -> WatchServiceEvent {
    let state = match overview.availability {
        Availability::Available => ServiceState::SERVICE_STATE_AVAILABLE,
        Availability::Degraded => ServiceState::SERVICE_STATE_DEGRADED,
        Availability::Unavailable => ServiceState::SERVICE_STATE_UNAVAILABLE,
    };
    WatchServiceEvent {
        service_type: service_type.to_owned(),
        state: state.into(),
        endpoint: overview
            .provider
            .as_ref()
            .map(|(runtime_id, offer)| endpoint(runtime_id, offer))
            .into(),
        ..Default::default()
    }
}

fn endpoint(runtime_id: &str, offer: &Offer) -> ServiceEndpoint {
    ServiceEndpoint {
        provider_id: runtime_id.to_owned(),
        version: offer.version.to_string(),
        endpoint_url: format!("/services/{}/{runtime_id}", offer.service_type),
        metadata: offer.metadata.iter().cloned().collect(),
        ..Default::default()
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
