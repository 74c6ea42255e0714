//! Streams of changes: what is told first, what is told then, and what ends them.

use std::time::Duration;

use connectrpc::{
    ConnectError, ErrorCode, Protocol,
    client::{CallOptions, ClientConfig, HttpClient, ServerStream},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_plugin_auth::TokenStore;
use tower_plugin_examples::proto::connectplugin::{
    health::v1::{
        __buffa::view::HealthCheckResponseView, HealthCheckRequest, HealthServiceClient,
        ServingStatus,
    },
    v1::{
        __buffa::view::WatchServiceEventView, ServiceRegistryClient, ServiceState,
        WatchServiceEvent, WatchServiceRequest,
    },
};

use crate::support::{DISCOVER, Host, Plugin, UNREGISTER, WATCH, eventually};

const WAIT: Duration = Duration::from_secs(10);
const NOWHERE: &str = "http://127.0.0.1:1";

type Events = ServerStream<Incoming, WatchServiceEventView<'static>>;
type Statuses = ServerStream<Incoming, HealthCheckResponseView<'static>>;

fn options(plugin: &Plugin) -> CallOptions {
    CallOptions::default()
        .with_header("authorization", format!("Bearer {}", plugin.token))
        .with_header("x-plugin-runtime-id", plugin.id.clone())
}

async fn watch_over(
    host: &Host,
    plugin: &Plugin,
    protocol: Protocol,
    options: CallOptions,
) -> Result<Events, ConnectError> {
    let _plugin = plugin;
    let transport = match protocol {
        Protocol::Grpc => HttpClient::plaintext_http2_only(),
        _ => HttpClient::plaintext(),
    };
    let config = ClientConfig::new(host.url("").parse().unwrap()).with_protocol(protocol);
    let request = WatchServiceRequest {
        service_type: "logger".to_owned(),
        ..Default::default()
    };
    ServiceRegistryClient::new(transport, config)
        .watch_service_with_options(request, options)
        .await
}

async fn watch(host: &Host, plugin: &Plugin) -> Events {
    watch_over(host, plugin, Protocol::Connect, options(plugin))
        .await
        .unwrap()
}

async fn next(events: &mut Events) -> Result<WatchServiceEvent, ConnectError> {
    let event = timeout(WAIT, events.message()).await.expect("no event")?;
    Ok(event.expect("the stream has ended").to_owned_message())
}

async fn state(events: &mut Events) -> ServiceState {
    next(events).await.unwrap().state.as_known().unwrap()
}

async fn end(events: &mut Events) -> ErrorCode {
    next(events).await.unwrap_err().code
}

async fn health(host: &Host, plugin: &Plugin, service: &str) -> Statuses {
    let config = ClientConfig::new(host.url("").parse().unwrap());
    let request = HealthCheckRequest {
        service: service.to_owned(),
        ..Default::default()
    };
    HealthServiceClient::new(HttpClient::plaintext(), config)
        .watch_with_options(request, options(plugin))
        .await
        .unwrap()
}

async fn status(statuses: &mut Statuses) -> ServingStatus {
    let status = timeout(WAIT, statuses.message()).await.expect("no status");
    let status = status.unwrap().expect("the stream has ended");
    status.to_owned_message().status.as_known().unwrap()
}

// Watchers used to hear of registrations, and of nothing that took a provider away.
#[tokio::test]
async fn f63_a_watcher_hears_the_present_state_and_then_of_every_change() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    for protocol in [Protocol::Connect, Protocol::Grpc, Protocol::GrpcWeb] {
        let mut events = watch_over(&host, &user, protocol, options(&user))
            .await
            .unwrap();
        let first = next(&mut events).await.unwrap();
        assert_eq!(
            (first.service_type.as_str(), first.state.as_known()),
            ("logger", Some(ServiceState::Unavailable))
        );
        assert!(first.endpoint.as_option().is_none());

        let id = host.provide(&provider, "logger", NOWHERE).await;
        let event = next(&mut events).await.unwrap();
        assert_eq!(event.state.as_known(), Some(ServiceState::Available));
        let endpoint = event.endpoint.as_option().unwrap();
        assert_eq!(
            (
                endpoint.provider_id.as_str(),
                endpoint.endpoint_url.as_str()
            ),
            (
                provider.id.as_str(),
                format!("/services/logger/{}", provider.id).as_str()
            )
        );

        host.report(&provider, "UNHEALTHY").await;
        assert_eq!(state(&mut events).await, ServiceState::Degraded);
        host.report(&provider, "HEALTHY").await;
        assert_eq!(state(&mut events).await, ServiceState::Available);
        let take_back = json!({ "registrationId": id });
        host.call(UNREGISTER, Some(&provider), take_back).await;
        assert_eq!(state(&mut events).await, ServiceState::Unavailable);
    }
    host.stop().await;
}

#[tokio::test]
async fn f63_a_provider_that_expires_is_missed() {
    let host = Host::with(&["--token-ttl", "1m"]).await;
    let provider = host.admit("logger").await;
    host.provide(&provider, "logger", NOWHERE).await;
    host.clock.advance(Duration::from_secs(30));
    let user = host.admit("app").await;
    let mut events = watch(&host, &user).await;
    assert_eq!(state(&mut events).await, ServiceState::Available);
    host.clock.advance(Duration::from_secs(30));
    assert_eq!(state(&mut events).await, ServiceState::Unavailable);
    host.stop().await;
}

// What a removed plugin had registered used to be found until its token's expiry.
#[tokio::test]
async fn f63_a_revoked_provider_takes_all_it_offered_with_it() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    host.provide(&provider, "logger", NOWHERE).await;
    host.report(&provider, "HEALTHY").await;
    let mut events = watch(&host, &user).await;
    assert_eq!(state(&mut events).await, ServiceState::Available);

    let tokens = host.state.tokens();
    let revoked = tokens.revoke_subject("runtime", &provider.id).await;
    assert_eq!(revoked.unwrap(), 1);
    assert_eq!(state(&mut events).await, ServiceState::Unavailable);
    host.call(DISCOVER, Some(&user), json!({ "serviceType": "logger" }))
        .await
        .refused(404, "not_found");
    host.stop().await;
}

#[tokio::test]
async fn a_reused_token_takes_what_its_owner_offered_with_it() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    host.provide(&provider, "logger", NOWHERE).await;
    let tokens = host.state.tokens();
    let list = tower_plugin_auth::store::List::of_subject("runtime", &provider.id);
    let id = tokens.list(&list).await.unwrap()[0].id();
    tokens.rotate(&id).await.unwrap();
    // After the overlap the old token is nobody's, and whoever has it is a thief or was robbed.
    host.clock.advance(Duration::from_secs(31));
    host.call(DISCOVER, Some(&user), json!({ "serviceType": "logger" }))
        .await
        .json();
    host.call(
        DISCOVER,
        Some(&provider),
        json!({ "serviceType": "logger" }),
    )
    .await
    .refused(401, "unauthenticated");
    eventually("forgotten", async || {
        let answer = host.call(DISCOVER, Some(&user), json!({ "serviceType": "logger" }));
        answer.await.status == 404
    })
    .await;
    host.stop().await;
}

// What was registered with the first token used to end with it.
#[tokio::test]
async fn what_was_registered_lives_on_with_the_successor_of_its_token() {
    let host = Host::with(&["--token-ttl", "10m"]).await;
    let provider = host.admit("logger").await;
    host.provide(&provider, "logger", NOWHERE).await;
    host.clock.advance(Duration::from_secs(300));
    let tokens = host.state.tokens();
    let list = tower_plugin_auth::store::List::of_subject("runtime", &provider.id);
    let id = tokens.list(&list).await.unwrap()[0].id();
    let successor = tokens.rotate(&id).await.unwrap();

    let user = host.admit("app").await;
    let look = || host.call(DISCOVER, Some(&user), json!({ "serviceType": "logger" }));
    host.clock.advance(Duration::from_secs(310));
    assert_eq!(look().await.status, 200, "the first token has expired");
    assert!(tokens.store().get(&successor.token().id()).await.is_ok());
    assert!(tokens.revoke(&successor.token().id()).await.unwrap());
    eventually("forgotten", async || look().await.status == 404).await;
    host.stop().await;
}

#[tokio::test]
async fn f07_a_stream_ends_with_its_token() {
    let host = Host::with(&["--token-ttl", "1m"]).await;
    let (a, b) = (host.admit("a").await, host.admit("b").await);
    let (mut of_a, mut of_b) = (watch(&host, &a).await, watch(&host, &b).await);
    let mut health_of_a = health(&host, &a, "").await;
    assert_eq!(state(&mut of_a).await, ServiceState::Unavailable);
    assert_eq!(state(&mut of_b).await, ServiceState::Unavailable);
    assert_eq!(status(&mut health_of_a).await, ServingStatus::Serving);

    let revoked = host.state.tokens().revoke_subject("runtime", &a.id).await;
    assert_eq!(revoked.unwrap(), 1);
    assert_eq!(end(&mut of_a).await, ErrorCode::Unauthenticated);
    let ended = timeout(WAIT, health_of_a.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code, ErrorCode::Unauthenticated);

    let provider = host.admit("logger").await;
    host.provide(&provider, "logger", NOWHERE).await;
    assert_eq!(state(&mut of_b).await, ServiceState::Available);
    host.clock.advance(Duration::from_secs(60));
    assert_eq!(end(&mut of_b).await, ErrorCode::Unauthenticated);
    host.stop().await;
}

// Ten events were kept for a slow watcher, and then they were dropped.
#[tokio::test]
async fn f63_a_slow_watcher_ends_up_with_the_latest_state() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    let mut events = watch(&host, &user).await;
    host.provide(&provider, "logger", NOWHERE).await;
    for _ in 0..100 {
        host.report(&provider, "UNHEALTHY").await;
        host.report(&provider, "DEGRADED").await;
    }
    host.report(&provider, "HEALTHY").await;
    let mut heard = 0;
    while state(&mut events).await != ServiceState::Available || heard == 0 {
        heard += 1;
        assert!(heard <= 202, "more events than changes");
    }
    host.report(&provider, "UNHEALTHY").await;
    assert_eq!(state(&mut events).await, ServiceState::Degraded);
    host.stop().await;
}

#[tokio::test]
async fn f63_watches_are_counted_and_one_that_ends_makes_room() {
    let host = Host::start().await;
    let (a, b) = (host.admit("a").await, host.admit("b").await);
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut events = watch(&host, &a).await;
        assert_eq!(state(&mut events).await, ServiceState::Unavailable);
        streams.push(events);
    }
    let mut refused = watch(&host, &a).await;
    assert_eq!(end(&mut refused).await, ErrorCode::ResourceExhausted);
    let mut of_b = watch(&host, &b).await;
    assert_eq!(state(&mut of_b).await, ServiceState::Unavailable);

    // A client that goes away.
    streams.pop();
    eventually("room", async || {
        let mut events = watch(&host, &a).await;
        next(&mut events).await.is_ok()
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn a_stream_ends_at_the_deadline_its_client_set() {
    let host = Host::start().await;
    let user = host.admit("app").await;
    let body = envelope(&json!({ "serviceType": "logger" }));
    let bearer = format!("Bearer {}", user.token);
    let headers = [
        ("content-type", "application/connect+json"),
        ("authorization", bearer.as_str()),
        ("connect-timeout-ms", "300"),
    ];
    // The host's own clock: the client here waits for as long as it takes.
    let answer = timeout(WAIT, host.post(WATCH, &headers, body))
        .await
        .unwrap();
    let messages = messages(&answer.body);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1].0, 2, "end of stream");
    assert_eq!(messages[1].1["error"]["code"], "deadline_exceeded");
    host.stop().await;
}

#[tokio::test]
async fn a_stream_in_json_is_sent_as_it_happens() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    let request = http::Request::post(host.url(WATCH))
        .header("content-type", "application/connect+json")
        .header("authorization", format!("Bearer {}", user.token))
        .body(Full::from(envelope(&json!({ "serviceType": "logger" }))))
        .unwrap();
    let response = host.client().request(request).await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/connect+json"
    );
    let mut body = response.into_body();
    let mut first = async || {
        let frame = timeout(WAIT, body.frame()).await.expect("no event");
        let data = frame.unwrap().unwrap().into_data().unwrap();
        messages(&data).remove(0)
    };
    let unavailable = json!({ "serviceType": "logger", "state": "SERVICE_STATE_UNAVAILABLE" });
    assert_eq!(first().await, (0, unavailable));
    host.provide(&provider, "logger", NOWHERE).await;
    let (flags, event) = first().await;
    assert_eq!(
        (flags, &event["state"]),
        (0, &json!("SERVICE_STATE_AVAILABLE"))
    );
    assert_eq!(event["endpoint"]["version"], "1.0.0");
    drop(body);
    host.stop().await;
}

#[tokio::test]
async fn health_is_told_once_until_it_changes() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    let own = "connectplugin.v1.ServiceRegistry";
    for service in ["", own] {
        let mut statuses = health(&host, &user, service).await;
        assert_eq!(status(&mut statuses).await, ServingStatus::Serving);
    }
    let mut statuses = health(&host, &user, "logger").await;
    assert_eq!(status(&mut statuses).await, ServingStatus::ServiceUnknown);
    host.provide(&provider, "logger", NOWHERE).await;
    assert_eq!(status(&mut statuses).await, ServingStatus::Serving);
    // All of this is still serving.
    for state in ["HEALTHY", "HEALTHY", "DEGRADED"] {
        host.report(&provider, state).await;
    }
    host.provide(&provider, "logger", NOWHERE).await;
    host.report(&provider, "UNHEALTHY").await;
    assert_eq!(status(&mut statuses).await, ServingStatus::NotServing);
    host.stop().await;
}

#[tokio::test]
async fn streams_do_not_hold_up_the_end_of_the_host() {
    let host = Host::with(&["--drain", "1m"]).await;
    let user = host.admit("app").await;
    let mut events = watch(&host, &user).await;
    assert_eq!(state(&mut events).await, ServiceState::Unavailable);
    // Fails if it takes as long as the drain.
    let (ended, ()) = tokio::join!(end(&mut events), host.stop());
    assert_eq!(ended, ErrorCode::Unavailable);
}

fn envelope(message: &Value) -> Vec<u8> {
    let message = message.to_string();
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message.as_bytes());
    bytes
}

fn messages(mut bytes: &[u8]) -> Vec<(u8, Value)> {
    let mut messages = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (message, rest) = rest.split_at(length);
        messages.push((*flags, serde_json::from_slice(message).unwrap()));
        bytes = rest;
    }
    messages
}
