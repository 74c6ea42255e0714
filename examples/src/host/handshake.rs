//! `HandshakeService`: versions, admission, identity.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::{collections::HashSet, sync::Arc};

use connectrpc::{
    ConnectError, ErrorCode, RequestContext, Response, ServiceRequest, ServiceResult,
};
use tower_plugin_auth::{
    IssueError, NewToken, TlsInfo,
    admission::{AdmissionError, Admitted, Applicant, Artifact, RefusalReason},
    authenticate::peer,
    token::SelfId,
};

use super::{
    HostState,
    admission::{ARTIFACT_SHA256, ARTIFACT_SIZE, COOKIE_KEY, PUBLIC_COOKIE},
    fields,
    own_words::{refuse, unavailable},
};
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
        let admitted = admit(host, &ctx, &request)?;
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
        let is_named = check_fields(&request)?;

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
        if is_named {
            let mut new = NewToken::runtime(admitted.self_id());
            if !request.self_version.is_empty() {
                new = new.with_attribute(SELF_VERSION, request.self_version);
            }
            let issued = admitted.issue_as(host.identities.tokens(), new).await;
            let issued = issued.map_err(|error| not_admitted(&error))?;
            let runtime_id = issued.principal().subject();
            tracing::info!(runtime_id, "plugin admitted");
            answer.runtime_id = runtime_id.to_owned();
            answer.runtime_token = issued.token().expose().to_owned();
        }
        Response::ok(answer)
    }
}

/// Where the broker is served beside its own path: what `connectplugin.v1.CapabilityBroker/RequestCapability`
/// is appended to.
pub(super) const BROKER: &str = "/broker";

/// Whether the door opens. Who gives no name, or none that it may have, is decided on under a name that
/// stands for all of those.
fn admit(
    host: &HostState,
    ctx: &RequestContext,
    request: &ServiceRequest<'_, HandshakeRequest>,
) -> Result<Admitted, ConnectError> {
    let (key, value) = (request.magic_cookie_key, request.magic_cookie_value);
    // Everybody is admitted then who says that it is a host it looks for.
    if host.admission.is_open() && (key, value) != (COOKIE_KEY, PUBLIC_COOKIE) {
        return Err(wrong_cookie());
    }
    let name = request.self_id.parse::<SelfId>().or(NAMELESS.parse());
    let name = name.map_err(|_| refuse(ErrorCode::InvalidArgument, "self_id"))?;
    let peer = ctx.extensions().get::<TlsInfo>().and_then(|tls| {
        peer(tls, host.clock.wall())
            .inspect_err(|problem| tracing::debug!(%problem, "a certificate names nobody"))
            .ok()?
    });
    let mut applicant = Applicant::new(&name).with_secret(key, value);
    if let Some(peer) = &peer {
        applicant = applicant.with_peer(peer);
    }
    if !request.self_version.is_empty() {
        applicant = applicant.with_version(request.self_version);
    }
    if let Some(artifact) = artifact(&request.client_metadata.iter().copied()) {
        applicant = applicant.with_artifact(artifact);
    }
    let admitted = host.admission.admit(&applicant);
    admitted.map_err(|error| not_admitted(&error))
}

/// What a plugin says that it is made of.
fn artifact<'a>(metadata: &(impl Iterator<Item = (&'a str, &'a str)> + Clone)) -> Option<Artifact> {
    let of = |name| {
        let mut named = metadata.clone().filter(|(key, _)| *key == name);
        named.next().map(|(_, value)| value)
    };
    let digits = of(ARTIFACT_SHA256).filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    let mut sha256 = [0; 32];
    for (byte, pair) in sha256.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Artifact::declared(sha256, of(ARTIFACT_SIZE)?.parse().ok()?))
}

fn not_admitted(error: &AdmissionError) -> ConnectError {
    match error {
        AdmissionError::Refused(RefusalReason::SecretMissing | RefusalReason::SecretWrong) => {
            wrong_cookie()
        }
        AdmissionError::Refused(_) => refuse(ErrorCode::PermissionDenied, "admission refused"),
        AdmissionError::Busy => unavailable("too many admissions at once", None),
        AdmissionError::Issue(IssueError::Full) => {
            refuse(ErrorCode::ResourceExhausted, "no room for another plugin")
        }
        AdmissionError::Issue(error) => {
            tracing::error!(%error, "no token could be issued");
            match error {
                IssueError::Unavailable(error) => {
                    unavailable("the identity could not be recorded", error.retry_after())
                }
                _ => refuse(ErrorCode::Internal, "no identity could be issued"),
            }
        }
        _ => refuse(ErrorCode::Internal, "no identity could be issued"),
    }
}

fn wrong_cookie() -> ConnectError {
    refuse(
        ErrorCode::InvalidArgument,
        "invalid magic cookie - this may not be a connect-plugin server",
    )
}

/// Whether the caller has a name of its own: nobody who has none gets an identity.
fn check_fields(request: &ServiceRequest<'_, HandshakeRequest>) -> Result<bool, ConnectError> {
    if !request.self_id.is_empty() {
        request
            .self_id
            .parse::<SelfId>()
            .map_err(|error| refuse(ErrorCode::InvalidArgument, format!("self_id {error}")))?;
    }
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
    Ok(!request.self_id.is_empty())
}

/// The version a plugin says to be, as an attribute of its principal.
pub(super) const SELF_VERSION: &str = "self_version";
const NAMELESS: &str = "nameless";
