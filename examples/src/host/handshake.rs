//! `HandshakeService`: versions, admission, identity.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::{collections::HashSet, sync::Arc};

use connectrpc::{
    ConnectError, ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult,
};
use tower_plugin_auth::token::SelfId;

use super::{HostState, fields, own_words::refuse};
use crate::proto::connectplugin::v1::{
    Capability, HandshakeRequest, HandshakeResponse, HandshakeService, PluginInfo,
};

/// The one version of the protocol itself.
pub const CORE_PROTOCOL_VERSION: i32 = 1;
/// The version of what host and plugins say to each other on top of it.
pub const APP_PROTOCOL_VERSION: i32 = 1;

/// Serves `connectplugin.v1.HandshakeService`.
pub(super) struct Handshakes(pub(super) Arc<HostState>);

impl HandshakeService for Handshakes {
    // The order of the checks is part of the protocol: a caller without the secret learns nothing of
    // the versions spoken here.
    async fn handshake(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, HandshakeRequest>,
    ) -> ServiceResult<HandshakeResponse> {
        let host = &*self.0;
        if !host
            .admission
            .admits(request.magic_cookie_key, request.magic_cookie_value)
        {
            tracing::debug!("handshake refused: wrong magic cookie");
            return Err(refuse(
                ErrorCode::InvalidArgument,
                "invalid magic cookie - this may not be a connect-plugin server",
            ));
        }
        let (core, app) = (request.core_protocol_version, request.app_protocol_version);
        if core != CORE_PROTOCOL_VERSION {
            return Err(refuse(
                ErrorCode::InvalidArgument,
                format!(
                    "unsupported core protocol version: {core} (server supports: {CORE_PROTOCOL_VERSION})"
                ),
            ));
        }
        if app != APP_PROTOCOL_VERSION {
            return Err(refuse(
                ErrorCode::FailedPrecondition,
                format!("version mismatch: client={app}, server={APP_PROTOCOL_VERSION}"),
            ));
        }
        let self_id = check_fields(&request)?;

        let mut answer = HandshakeResponse {
            core_protocol_version: CORE_PROTOCOL_VERSION,
            app_protocol_version: APP_PROTOCOL_VERSION,
            server_metadata: [(
                "server_version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            )]
            .into_iter()
            .collect(),
            ..Default::default()
        };
        let base = host.grants.base(ctx.extensions());
        answer.host_capabilities = host
            .grants
            .capabilities()
            .into_iter()
            .map(|(r#type, version)| Capability {
                r#type,
                version,
                endpoint: format!("{base}{BROKER}"),
                ..Default::default()
            })
            .collect();
        let mut seen = HashSet::new();
        answer.plugins = request
            .requested_plugins
            .iter()
            .filter(|name| seen.insert(**name))
            .filter_map(|name| host.plugins.iter().find(|plugin| plugin.name == **name))
            .map(|plugin| PluginInfo {
                name: plugin.name.clone(),
                version: plugin.version.to_string(),
                service_path: plugin.service_path.clone(),
                ..Default::default()
            })
            .collect();
        if let Some(self_id) = self_id {
            let identity = host.identities.issue(&self_id).await?;
            tracing::info!(runtime_id = %identity.runtime_id, "plugin admitted");
            answer.runtime_id = identity.runtime_id;
            answer.runtime_token = identity.token;
        }
        Response::ok(answer)
    }
}

/// Where the broker is served beside its own path: what `connectplugin.v1.CapabilityBroker/RequestCapability`
/// is appended to.
pub(super) const BROKER: &str = "/broker";

// Nobody who calls without a name of its own gets an identity.
fn check_fields(
    request: &ServiceRequest<'_, HandshakeRequest>,
) -> Result<Option<SelfId>, ConnectError> {
    let self_id = match request.self_id {
        "" => None,
        name => Some(
            name.parse::<SelfId>()
                .map_err(|error| refuse(ErrorCode::InvalidArgument, format!("self_id {error}")))?,
        ),
    };
    if !request.self_version.is_empty() {
        fields::version("self_version", request.self_version).map_err(super::invalid_field)?;
    }
    fields::identifiers(
        "requested_plugins",
        request.requested_plugins.iter().copied(),
    )
    .map_err(super::invalid_field)?;
    fields::metadata("client_metadata", request.client_metadata.iter().copied())
        .map_err(super::invalid_field)?;
    Ok(self_id)
}
