#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use clap::Parser;
use connectrpc::{
    ConnectError, ConnectRpcService, RequestContext, Response, Router, ServiceRequest,
    ServiceResult, client::ServiceTransport,
};
use parking_lot::{Mutex, MutexGuard};
use tower_plugin_auth::{admission::Suspect, store::List, token::TokenKind};
use tower_plugin_core::ManualClock;

use super::*;
use crate::{
    host::{
        Options,
        registry::{Health, Owner},
    },
    proto::connectplugin::v1::{
        GetHealthRequest, GetHealthResponse, GetPluginInfoRequest, GetPluginInfoResponse,
        HealthState, PluginControl, PluginControlExt, PluginIdentity, PluginIdentityExt,
        SetRuntimeIdentityRequest, SetRuntimeIdentityResponse, ShutdownRequest, ShutdownResponse,
    },
};

/// A plugin that does as it is told.
#[derive(Clone)]
struct Stub(Arc<Mutex<Part>>);

struct Part {
    name: &'static str,
    acknowledges: bool,
    is_gone: bool,
    /// `None` if it has no word for it.
    health: Option<HealthState>,
    /// Runtime id, token, where the host is.
    identities: Vec<[String; 3]>,
    asked: u32,
    told_to_end: Vec<i32>,
}

impl Stub {
    fn part(&self) -> Result<MutexGuard<'_, Part>, ConnectError> {
        let part = self.0.lock();
        match part.is_gone {
            true => Err(ConnectError::unavailable("s3cr3t")),
            false => Ok(part),
        }
    }
}

impl PluginIdentity for Stub {
    async fn get_plugin_info(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetPluginInfoRequest>,
    ) -> ServiceResult<GetPluginInfoResponse> {
        Response::ok(GetPluginInfoResponse {
            self_id: self.part()?.name.to_owned(),
            ..Default::default()
        })
    }

    async fn set_runtime_identity(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, SetRuntimeIdentityRequest>,
    ) -> ServiceResult<SetRuntimeIdentityResponse> {
        let mut part = self.part()?;
        let told = [request.runtime_id, request.runtime_token, request.host_url];
        part.identities.push(told.map(str::to_owned));
        Response::ok(SetRuntimeIdentityResponse {
            acknowledged: part.acknowledges,
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
        let mut part = self.part()?;
        part.asked += 1;
        let health = part
            .health
            .ok_or_else(|| ConnectError::unimplemented("no"))?;
        Response::ok(GetHealthResponse {
            state: health.into(),
            ..Default::default()
        })
    }

    async fn shutdown(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, ShutdownRequest>,
    ) -> ServiceResult<ShutdownResponse> {
        let mut part = self.part()?;
        part.told_to_end.push(request.grace_period_seconds);
        Response::ok(ShutdownResponse {
            acknowledged: true,
            ..Default::default()
        })
    }
}

/// A host that manages one plugin, which it reaches without a socket.
struct Scene {
    clock: ManualClock,
    host: Arc<HostState>,
    managed: Managed,
    stub: Stub,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Part)) -> Self {
        let mut part = Part {
            name: "cache",
            acknowledges: true,
            is_gone: false,
            health: Some(HealthState::Healthy),
            identities: Vec::new(),
            asked: 0,
            told_to_end: Vec::new(),
        };
        change(&mut part);
        let stub = Stub(Arc::new(Mutex::new(part)));
        let options = Options::try_parse_from(["plugin-host", "--token-ttl", "10m"]);
        let (config, _) = options.unwrap().into_config(None).unwrap();
        let clock = ManualClock::new();
        let host = Arc::new(HostState::new(config, Arc::new(clock.clone())).unwrap());
        let served = Arc::new(stub.clone());
        let router = PluginIdentityExt::register(Arc::clone(&served), Router::new());
        let router = PluginControlExt::register(served, router);
        let transport = ServiceTransport::new(ConnectRpcService::new(router));
        let life = Life {
            host: Arc::clone(&host),
            name: "cache".parse().unwrap(),
            remote: Remote::new(transport, "http://127.0.0.1:1".parse().unwrap()),
            host_url: "http://127.0.0.1:8080".into(),
            grace: Duration::from_secs(7),
        };
        let (end, ending) = watch::channel(());
        let mut lives = JoinSet::new();
        lives.spawn(life.live(ending));
        Self {
            clock,
            host,
            managed: Managed { lives, end },
            stub,
        }
    }

    /// What the plugin was told it is, time and again.
    fn identities(&self) -> Vec<[String; 3]> {
        self.stub.0.lock().identities.clone()
    }

    async fn is_valid(&self, token: &str) -> bool {
        let tokens = self.host.identities.tokens();
        tokens
            .verify(TokenKind::Runtime, token.as_bytes())
            .await
            .is_ok()
    }

    /// Tokens that are good.
    async fn alive(&self) -> usize {
        alive(&self.host).await
    }
}

async fn alive(host: &HostState) -> usize {
    let records = host.identities.tokens().list(&List::all()).await.unwrap();
    let now = host.clock.wall();
    records.iter().filter(|record| record.is_live(now)).count()
}

async fn seconds(count: u64) {
    time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_is_given_its_identity_and_told_to_end() {
    let scene = Scene::new(|_| {});
    seconds(1).await;
    let identities = scene.identities();
    let [[id, token, url]] = &*identities else {
        panic!("{}", identities.len())
    };
    assert!(id.starts_with("cache-") && scene.is_valid(token).await);
    assert_eq!(url, "http://127.0.0.1:8080");
    assert_eq!(scene.host.directory.health(id), Some(Health::Healthy));
    // What it says later counts, too.
    scene.stub.0.lock().health = Some(HealthState::Unhealthy);
    seconds(11).await;
    assert_eq!(scene.host.directory.health(id), Some(Health::Unhealthy));

    let Scene {
        managed,
        stub,
        host,
        ..
    } = scene;
    managed.shut_down().await;
    assert_eq!(alive(&host).await, 0);
    let part = stub.0.lock();
    assert_eq!((&*part.told_to_end, part.identities.len()), (&[7][..], 1));
}

#[tokio::test(start_paused = true)]
async fn who_calls_itself_something_else_gets_no_token() {
    let scene = Scene::new(|part| part.name = "cache-2");
    seconds(100).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (0, 0));
    scene.stub.0.lock().name = "Cache";
    seconds(31).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_acknowledge_its_identity_does_not_keep_it() {
    let scene = Scene::new(|part| part.acknowledges = false);
    seconds(60).await;
    let told = scene.identities().len();
    assert!((2..=8).contains(&told), "{told}");
    assert_eq!(scene.alive().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_is_asked_every_half_second_and_has_half_a_minute_to_be_well() {
    let scene = Scene::new(|part| part.health = Some(HealthState::Degraded));
    seconds(29).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (1, 1));
    let asked = scene.stub.0.lock().asked;
    assert!((57..=59).contains(&asked), "{asked}");
    time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (1, 0));
    // And again.
    scene.stub.0.lock().health = Some(HealthState::Healthy);
    seconds(60).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_has_no_word_for_its_health_tells_the_host() {
    let scene = Scene::new(|part| part.health = None);
    seconds(20).await;
    let [id, token, _] = scene.identities().remove(0);
    let verified = scene
        .host
        .identities
        .tokens()
        .verify(TokenKind::Runtime, token.as_bytes())
        .await;
    let verified = verified.unwrap();
    let owner = Owner {
        runtime_id: &id,
        token_id: verified.record().id(),
        expires_at: verified.record().expires_at(),
    };
    scene
        .host
        .directory
        .report_health(owner, Health::Healthy)
        .unwrap();
    seconds(120).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_is_gone_loses_its_token_and_gets_another_when_it_is_back() {
    let scene = Scene::new(|_| {});
    seconds(5).await;
    scene.stub.0.lock().is_gone = true;
    // Twice may happen.
    seconds(20).await;
    assert_eq!(scene.alive().await, 1);
    seconds(10).await;
    assert_eq!(scene.alive().await, 0);
    scene.stub.0.lock().is_gone = false;
    seconds(60).await;
    let identities = scene.identities();
    let [.., [before, ..], [now, ..]] = &*identities else {
        panic!("{}", identities.len())
    };
    assert_ne!(before, now);
    assert_eq!(scene.alive().await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_in_quarantine_is_given_nothing_until_it_is_let_go() {
    let scene = Scene::new(|_| {});
    seconds(5).await;
    let suspect = Suspect::Plugin("cache".parse().unwrap());
    let (admission, tokens) = (&scene.host.admission, scene.host.identities.tokens());
    admission.quarantine(tokens, &suspect).await.unwrap();
    seconds(120).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (1, 0));
    assert!(admission.release(&suspect));
    seconds(31).await;
    assert_eq!((scene.identities().len(), scene.alive().await), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_before_it_ends_and_the_name_stays() {
    let scene = Scene::new(|_| {});
    seconds(5).await;
    scene.clock.advance(Duration::from_secs(7 * 60));
    seconds(11).await;
    assert_eq!(scene.identities().len(), 1);
    scene.clock.advance(Duration::from_secs(60));
    seconds(30).await;
    let identities = scene.identities();
    let [[first, old, _], [second, new, _]] = &*identities else {
        panic!("{}", identities.len())
    };
    assert_eq!(first, second);
    assert!(old != new && scene.is_valid(new).await);
    // What it has left behind lives on with it.
    scene.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(scene.host.directory.health(first), Some(Health::Healthy));
    assert_eq!(scene.alive().await, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_any_more_once_the_owner_is_dropped() {
    let Scene { managed, stub, .. } = Scene::new(|_| {});
    seconds(5).await;
    drop(managed);
    let asked = stub.0.lock().asked;
    seconds(100).await;
    let part = stub.0.lock();
    assert_eq!((part.asked, part.told_to_end.len()), (asked, 0));
}
