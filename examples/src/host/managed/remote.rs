//! What a host asks of a plugin it manages.

use std::{fmt::Display, time::Duration};

use connectrpc::{
    ConnectError, ErrorCode,
    client::{ClientConfig, ClientTransport},
};
use http::Uri;
use http_body::Body;
use tokio::time;
use tower_plugin_auth::{Issued, token::SelfId};

use super::trouble::Trouble;
use crate::{
    host::{lifecycle, registry::Health},
    proto::connectplugin::v1::{
        GetHealthRequest, GetPluginInfoRequest, PluginControlClient, PluginIdentityClient,
        SetRuntimeIdentityRequest, ShutdownRequest,
    },
};

/// A plugin, called in protobuf over Connect. Every call is bounded in time and its answer in size.
pub(super) struct Remote<T> {
    identity: PluginIdentityClient<T>,
    control: PluginControlClient<T>,
}

impl<T> Remote<T>
where
    T: ClientTransport + Clone,
    <T::ResponseBody as Body>::Error: Display,
{
    pub(super) fn new(transport: T, address: Uri) -> Self {
        let config = ClientConfig::new(address)
            .with_default_timeout(PATIENCE)
            .with_default_max_message_size(MAX_ANSWER);
        Self {
            identity: PluginIdentityClient::new(transport.clone(), config.clone()),
            control: PluginControlClient::new(transport, config),
        }
    }

    /// What it calls itself.
    pub(super) async fn name(&self) -> Result<SelfId, Trouble> {
        let info = ask(self
            .identity
            .get_plugin_info(GetPluginInfoRequest::default()))
        .await?;
        info.view().self_id.parse().map_err(|_| Trouble::Name)
    }

    /// Hands over who it is from now on, and where the host is.
    pub(super) async fn set_identity(
        &self,
        issued: &Issued,
        host_url: &str,
    ) -> Result<(), Trouble> {
        let request = SetRuntimeIdentityRequest {
            runtime_id: issued.principal().subject().to_owned(),
            runtime_token: issued.token().expose().to_owned(),
            host_url: host_url.to_owned(),
            ..Default::default()
        };
        let answer = ask(self.identity.set_runtime_identity(request)).await?;
        match answer.view().acknowledged {
            true => Ok(()),
            false => Err(Trouble::Declined),
        }
    }

    /// How it says it is; `None` if it says nothing of that.
    pub(super) async fn health(&self) -> Result<Option<Health>, Trouble> {
        match ask(self.control.get_health(GetHealthRequest::default())).await {
            Ok(answer) => Ok(lifecycle::health(answer.view().state.as_known())),
            // It is there, and has no word for it.
            Err(Trouble::Answer(code)) if code == ErrorCode::Unimplemented.as_str() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Asks it to end.
    pub(super) async fn shut_down(&self, grace: Duration) -> Result<(), Trouble> {
        let request = ShutdownRequest {
            grace_period_seconds: i32::try_from(grace.as_secs()).unwrap_or(i32::MAX),
            reason: "the host shuts down".to_owned(),
            ..Default::default()
        };
        let answer = ask(self.control.shutdown(request)).await?;
        match answer.view().acknowledged {
            true => Ok(()),
            false => Err(Trouble::Declined),
        }
    }
}

// What a plugin says in an error is its own, and may be anything: the code alone goes further.
async fn ask<R>(call: impl Future<Output = Result<R, ConnectError>>) -> Result<R, Trouble> {
    match time::timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Trouble::Answer(error.code.as_str())),
        Err(_) => Err(Trouble::Silent),
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 64 * 1024;
