//! Plugins that the host calls first.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::{sync::Arc, time::Duration};

use axum::Router;
use connectrpc::{
    ConnectRpcService, RequestContext, Response, Router as RpcRouter, ServiceRequest, ServiceResult,
};
use parking_lot::Mutex;
use serde_json::json;
use tower_plugin_examples::{
    host::Managed,
    proto::connectplugin::v1::{
        GetHealthRequest, GetHealthResponse, GetPluginInfoRequest, GetPluginInfoResponse,
        HealthState, PluginControl, PluginControlExt, PluginIdentity, PluginIdentityExt,
        SetRuntimeIdentityRequest, SetRuntimeIdentityResponse, ShutdownRequest, ShutdownResponse,
    },
};

use crate::{
    process::Program,
    services::serve,
    support::{Admin, Host, Plugin, REGISTER, eventually},
};

/// What a plugin named `cache` was told.
#[derive(Default)]
struct Told {
    identity: Option<(Plugin, String)>,
    end: Option<i32>,
}

#[derive(Clone, Default)]
struct Stub(Arc<Mutex<Told>>);

impl PluginIdentity for Stub {
    async fn get_plugin_info(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetPluginInfoRequest>,
    ) -> ServiceResult<GetPluginInfoResponse> {
        Response::ok(GetPluginInfoResponse {
            self_id: "cache".to_owned(),
            self_version: "1.0.0".to_owned(),
            ..Default::default()
        })
    }

    async fn set_runtime_identity(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, SetRuntimeIdentityRequest>,
    ) -> ServiceResult<SetRuntimeIdentityResponse> {
        let plugin = Plugin {
            id: request.runtime_id.to_owned(),
            token: request.runtime_token.to_owned(),
        };
        self.0.lock().identity = Some((plugin, request.host_url.to_owned()));
        Response::ok(SetRuntimeIdentityResponse {
            acknowledged: true,
            ..Default::default()
        })
    }
}

impl PluginControl for Stub {
    async fn get_health(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetHealthRequest>,
    ) -> ServiceResult<GetHealthResponse> {
        Response::ok(GetHealthResponse {
            state: HealthState::Healthy.into(),
            ..Default::default()
        })
    }

    async fn shutdown(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, ShutdownRequest>,
    ) -> ServiceResult<ShutdownResponse> {
        self.0.lock().end = Some(request.grace_period_seconds);
        Response::ok(ShutdownResponse {
            acknowledged: true,
            ..Default::default()
        })
    }
}

impl Stub {
    /// Served by axum; the flag that names it.
    async fn start() -> (Self, String) {
        let stub = Self::default();
        let served = Arc::new(stub.clone());
        let router = PluginIdentityExt::register(Arc::clone(&served), RpcRouter::new());
        let router = PluginControlExt::register(served, router);
        let app = Router::new().fallback_service(ConnectRpcService::new(router));
        let address = serve(app).await;
        (stub, format!("--managed=cache=http://{address}"))
    }

    async fn identity(&self) -> (Plugin, String) {
        eventually("an identity", async || self.0.lock().identity.is_some()).await;
        self.0.lock().identity.clone().unwrap()
    }
}

#[tokio::test]
async fn a_managed_plugin_is_told_who_it_is_registers_and_is_told_to_end() {
    let (stub, flag) = Stub::start().await;
    let rules = ["--allow-register", "cache=kv"];
    let host = Host::with(&[&[&*flag], &rules[..]].concat()).await;
    let grace = Duration::from_secs(7);
    let managed = Managed::start(&host.state, host.address, false, grace);
    let (plugin, url) = stub.identity().await;
    assert_eq!(url, format!("http://{}", host.address));
    assert!(plugin.id.starts_with("cache-"));

    // The same rights as anybody of its name.
    for (service_type, status) in [("kv", 200), ("logger", 403)] {
        let offer = json!({
            "serviceType": service_type,
            "version": "1.0.0",
            "endpointPath": "/kv.v1.KV/",
        });
        let answer = host.call(REGISTER, Some(&plugin), offer).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }

    let admin = Admin::of(&host);
    assert_eq!(admin.stats().await["registrations"], 1);
    managed.shut_down().await;
    assert_eq!(stub.0.lock().end, Some(7));
    // It is nobody any more, and what it offered is gone.
    host.call(REGISTER, Some(&plugin), json!({}))
        .await
        .refused(401, "unauthenticated");
    eventually("it is forgotten", async || {
        admin.stats().await["registrations"] == 0
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn the_program_gives_its_plugins_their_identity_and_tells_them_to_end() {
    let (stub, flag) = Stub::start().await;
    // One that is not there holds up nobody.
    let absent = "--managed=absent=http://127.0.0.1:1";
    let program = Program::start(&[&flag, absent, "--drain", "3s"], None).await;
    let (plugin, url) = stub.identity().await;
    assert_eq!(url, program.url());
    let (status, log) = program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(stub.0.lock().end, Some(3), "{log}");
    assert!(
        log.contains("a managed plugin is not at work") && !log.contains(&plugin.token),
        "{log}"
    );
}

#[tokio::test]
async fn a_name_is_managed_once() {
    use clap::Parser;
    use tower_plugin_examples::host::{Options, config::Settings};

    let twice = [
        "plugin-host",
        "--managed=cache=http://127.0.0.1:9001",
        "--managed=Cache=http://127.0.0.1:9002",
    ];
    let problems = Settings::of(twice).unwrap().problems(None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("--managed: cache is at one place"),
        "{problems:?}"
    );
    let elsewhere = ["plugin-host", "--managed=cache=http://10.0.0.1:9001"];
    let error = Options::try_parse_from(elsewhere).unwrap_err().to_string();
    assert!(error.contains("loopback"), "{error}");
}
