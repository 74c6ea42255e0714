//! `CapabilityBroker`: grants of what the host itself can be asked for.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use connectrpc::{
    ConnectError, ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult,
};
use tower_plugin_auth::{GrantRequest, broker::RequestError};

use super::{
    HostState, fields,
    identity::Caller,
    own_words::{refuse, unavailable},
};
use crate::proto::connectplugin::v1::{
    CapabilityBroker, CapabilityGrant, RequestCapabilityRequest, RequestCapabilityResponse,
};

/// Serves `connectplugin.v1.CapabilityBroker`.
pub(super) struct Broker(pub(super) Arc<HostState>);

impl CapabilityBroker for Broker {
    // The message has no field for the end of a grant: a header tells it.
    async fn request_capability(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, RequestCapabilityRequest>,
    ) -> ServiceResult<RequestCapabilityResponse> {
        let caller = Caller::of(&ctx)?;
        let kind = request.capability_type;
        fields::identifier("capability_type", kind).map_err(super::invalid_field)?;
        fields::text("reason", request.reason).map_err(super::invalid_field)?;
        let mut wanted =
            GrantRequest::new(caller.principal().clone(), kind).with_reason(request.reason);
        if !request.min_version.is_empty() {
            fields::version("min_version", request.min_version).map_err(super::invalid_field)?;
            wanted = wanted
                .with_min_version(request.min_version)
                .map_err(|error| refuse(ErrorCode::InvalidArgument, error.to_string()))?;
        }
        let grants = &self.0.grants;
        if !grants.is_bound() {
            wanted = wanted.with_insecure_bearer();
        }
        let issued = grants
            .broker()
            .request(wanted)
            .await
            .map_err(|error| refusal(&error))?;

        let base = grants.base(ctx.extensions());
        let seconds = issued.expires_at().duration_since(UNIX_EPOCH);
        let seconds = seconds.as_ref().map_or(0, Duration::as_secs);
        let token = issued.token();
        let grant_id = token.id().to_string();
        tracing::info!(
            runtime_id = caller.runtime_id(),
            capability = kind,
            grant_id,
            "capability granted"
        );
        let grant = CapabilityGrant {
            grant_id,
            endpoint_url: format!("{base}{}", issued.path()),
            bearer_token: token.expose().to_owned(),
            capability_type: kind.to_owned(),
            version: issued.version().to_owned(),
            ..Default::default()
        };
        let answer = Response::new(RequestCapabilityResponse {
            grant: grant.into(),
            ..Default::default()
        });
        Ok(answer
            .with_header(EXPIRES_AT, seconds.to_string())
            .with_header("cache-control", "no-store"))
    }
}

fn refusal(error: &RequestError) -> ConnectError {
    let (code, message) = match error {
        RequestError::UnknownCapability => (ErrorCode::NotFound, "unknown capability"),
        RequestError::NoSuchVersion => (
            ErrorCode::NotFound,
            "the capability is there in an older version only",
        ),
        RequestError::Denied => (
            ErrorCode::PermissionDenied,
            "not authorized for this capability",
        ),
        RequestError::Full => (ErrorCode::ResourceExhausted, "no room for another grant"),
        RequestError::FullForPrincipal => (
            ErrorCode::ResourceExhausted,
            "as many grants as one plugin may have",
        ),
        RequestError::TooLarge => (ErrorCode::InvalidArgument, "the request is too large"),
        RequestError::Unavailable(store) => {
            tracing::error!(%error, "no grant could be issued");
            return unavailable("the grant could not be recorded", store.retry_after());
        }
        _ => (ErrorCode::Internal, "no grant could be issued"),
    };
    if code == ErrorCode::Internal {
        tracing::error!(%error, "no grant could be issued");
    }
    refuse(code, message)
}

/// When the grant ends, in seconds since 1970.
pub const EXPIRES_AT: &str = "x-plugin-grant-expires-at";
