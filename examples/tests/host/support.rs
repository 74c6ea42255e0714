//! A host in this process, and a client that speaks the protocol by hand.

use std::{fmt::Debug, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower::ServiceExt;
use tower_plugin_core::{ManualClock, PeerAddr};
use tower_plugin_examples::host::{
    HostCapability, HostState, Options,
    admin::{self, AdminParts},
    build_watched, build_with, serve,
};

pub(crate) const SECRET: &str = "correct-horse-battery-staple";
pub(crate) const HANDSHAKE: &str = "/connectplugin.v1.HandshakeService/Handshake";
pub(crate) const REGISTER: &str = "/connectplugin.v1.ServiceRegistry/RegisterService";
pub(crate) const UNREGISTER: &str = "/connectplugin.v1.ServiceRegistry/UnregisterService";
pub(crate) const DISCOVER: &str = "/connectplugin.v1.ServiceRegistry/DiscoverService";
pub(crate) const WATCH: &str = "/connectplugin.v1.ServiceRegistry/WatchService";
pub(crate) const HEALTH_WATCH: &str = "/connectplugin.health.v1.HealthService/Watch";
pub(crate) const REPORT: &str = "/connectplugin.v1.PluginLifecycle/ReportHealth";
const ADMIN_TOKEN: &str = "the-token-of-the-administrator";
pub(crate) const BROKER: &str = "/connectplugin.v1.CapabilityBroker/RequestCapability";
pub(crate) const CHECK: &str = "/connectplugin.health.v1.HealthService/Check";

const SERVICE_FLAGS: [&str; 4] = [
    "--allow-register",
    "--allow-call",
    "--deny-register",
    "--deny-call",
];

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) clock: ManualClock,
    pub(crate) state: Arc<HostState>,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// The administration of a host, asked without a socket.
pub(crate) struct Admin(Router);

/// The layers that requests have come to.
#[derive(Clone, Default)]
pub(crate) struct Passed(Arc<Mutex<Vec<&'static str>>>);

/// Who a plugin is after a handshake.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub(crate) id: String,
    pub(crate) token: String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Quotas that no test reaches by accident, every service for every plugin, and then what is given.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        Self::with_routes(arguments, Router::new()).await
    }

    pub(crate) async fn with_routes(arguments: &[&str], own: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, arguments, own)
    }

    pub(crate) fn on(listener: TcpListener, arguments: &[&str], own: Router) -> Self {
        Self::made(listener, arguments, |state| build_with(state, own))
    }

    /// One that tells which layers requests come to.
    pub(crate) async fn watched(arguments: &[&str], own: Router) -> (Self, Passed) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let passed = Passed::default();
        let note = passed.clone();
        let host = Self::made(listener, arguments, move |state| {
            build_watched(state, own, move |layer| note.0.lock().push(layer))
        });
        (host, passed)
    }

    /// One that offers these beside its own.
    pub(crate) async fn offering(arguments: &[&str], offered: Vec<HostCapability>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::made(listener, arguments, |state| {
            for capability in offered {
                state.offer(capability).unwrap();
            }
            build_with(state, Router::new())
        })
    }

    fn made(
        listener: TcpListener,
        arguments: &[&str],
        build: impl FnOnce(&Arc<HostState>) -> Router,
    ) -> Self {
        let mut command_line = [&["plugin-host"], arguments].concat();
        for flag in [
            "--broker-quota",
            "--discover-quota",
            "--handshake-quota",
            "--health-quota",
            "--register-quota",
            "--watch-quota",
        ] {
            if !arguments.contains(&flag) {
                command_line.extend([flag, "1000/s"]);
            }
        }
        if !arguments.iter().any(|flag| SERVICE_FLAGS.contains(flag)) {
            command_line.extend(["--allow-register", "*=*", "--allow-call", "*=*"]);
        }
        let options = Options::try_parse_from(command_line).unwrap();
        let bounds = options.bounds();
        let clock = ManualClock::new();
        let (config, _) = options.into_config(Some(SECRET.to_owned())).unwrap();
        let state = Arc::new(HostState::new(config, Arc::new(clock.clone())).unwrap());
        let app = build(&state);
        let listener = state.listener(listener).unwrap();
        let address = listener.address();
        let (stop, stopped) = oneshot::channel();
        let readiness = state.readiness();
        let served = tokio::spawn(async move {
            serve(listener, app, readiness, bounds, async {
                stopped.await.unwrap();
            })
            .await;
        });
        Self {
            address,
            clock,
            state,
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop,
            served,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn client(&self) -> Client<HttpConnector, Full<Bytes>> {
        self.client.clone()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::of(self.client.request(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(self.url(path)).body(Full::default()).unwrap())
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body.into())).unwrap())
            .await
    }

    /// One unary call in JSON, as `plugin` or as nobody.
    pub(crate) async fn call(&self, path: &str, plugin: Option<&Plugin>, message: Value) -> Answer {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("connect-protocol-version", "1"),
        ];
        let bearer = plugin.map(|plugin| (format!("Bearer {}", plugin.token), plugin.id.clone()));
        if let Some((token, id)) = &bearer {
            headers.extend([
                ("authorization", token.as_str()),
                ("x-plugin-runtime-id", id.as_str()),
            ]);
        }
        self.post(path, &headers, message.to_string()).await
    }

    /// Admits a plugin.
    pub(crate) async fn admit(&self, self_id: &str) -> Plugin {
        let answer = self
            .call(HANDSHAKE, None, handshake(json!({ "selfId": self_id })))
            .await;
        answer.plugin()
    }

    /// Registers `plugin` as a provider that says it is at `base_url`.
    pub(crate) async fn provide(
        &self,
        plugin: &Plugin,
        service_type: &str,
        base_url: &str,
    ) -> String {
        let offer = json!({
            "serviceType": service_type,
            "version": "1.0.0",
            "endpointPath": "/logger.v1.Logger/",
            "metadata": { "base_url": base_url },
        });
        let answer = self.call(REGISTER, Some(plugin), offer).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["registrationId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn report(&self, plugin: &Plugin, state: &str) {
        let report = json!({ "state": format!("HEALTH_STATE_{state}") });
        let answer = self.call(REPORT, Some(plugin), report).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Ends the host, which must happen in bounded time.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        drop((self.client, self.state));
        tokio::time::timeout(Duration::from_secs(20), self.served)
            .await
            .unwrap()
            .unwrap();
    }
}

impl Passed {
    /// Those since it was asked last.
    pub(crate) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Admin {
    pub(crate) fn of(host: &Host) -> Self {
        let fixed = ["plugin-host", "--admin-listen", "127.0.0.1:0"];
        let mut options = Options::try_parse_from(fixed).unwrap();
        options.admin.environment = Some(ADMIN_TOKEN.parse().unwrap());
        let config = options.load_admin().unwrap().unwrap();
        Self(admin::build(&host.state, &config, AdminParts::default()).unwrap())
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "admin.example")
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
            .extension(PeerAddr("127.0.0.1:1".parse().unwrap()))
            .body(Body::empty())
            .unwrap();
        Answer::of(self.0.clone().oneshot(request).await.unwrap()).await
    }

    /// What `/admin/stats` says.
    pub(crate) async fn stats(&self) -> Value {
        let answer = self.send("GET", "/admin/stats").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

impl Answer {
    pub(crate) async fn of<B>(response: Response<B>) -> Self
    where
        B: HttpBody<Data = Bytes, Error: Debug>,
    {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Who is admitted by this answer to a handshake.
    #[track_caller]
    pub(crate) fn plugin(&self) -> Plugin {
        assert_eq!(self.status, 200, "{}", self.text());
        let answer = self.json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Plugin {
            id: text("runtimeId"),
            token: text("runtimeToken"),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a refusal in Connect's JSON, and gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(
            (self.status.as_u16(), self.header("content-type")),
            (status, "application/json"),
            "{}",
            self.text()
        );
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        body["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Asks until it is so; it must be in bounded time.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// A handshake that is admitted, with `changes`.
pub(crate) fn handshake(changes: Value) -> Value {
    let mut request = json!({
        "coreProtocolVersion": 1,
        "appProtocolVersion": 1,
        "magicCookieKey": "CONNECT_PLUGIN",
        "magicCookieValue": SECRET,
    });
    let Value::Object(changes) = changes else {
        panic!("not an object")
    };
    request.as_object_mut().unwrap().extend(changes);
    request
}
