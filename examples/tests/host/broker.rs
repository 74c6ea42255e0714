//! Capabilities: who is granted what, where it is used, and when it ends.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request, routing::post};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower_plugin_auth::{Capability, Grant};
use tower_plugin_core::Principal;
use tower_plugin_examples::host::HostCapability;

use crate::support::{Answer, BROKER, DISCOVER, HANDSHAKE, Host, Plugin, eventually, handshake};

const JSON: (&str, &str) = ("content-type", "application/json");
const LOG: &str = "/capability.logger.v1.Logger/Log";
const LINE: &str = r#"{"level":"info","message":"hello"}"#;

/// What a plugin was granted.
struct Granted {
    id: String,
    /// From the address that was told, without the host.
    path: String,
    token: String,
}

async fn ask(host: &Host, plugin: &Plugin, request: Value) -> Granted {
    let answer = host.call(BROKER, Some(plugin), request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    granted(host, &answer)
}

fn granted(host: &Host, answer: &Answer) -> Granted {
    let grant = &answer.json()["grant"];
    let text = |name: &str| grant[name].as_str().unwrap().to_owned();
    let url = text("endpointUrl");
    Granted {
        id: text("grantId"),
        path: url.strip_prefix(&host.url("")).unwrap().to_owned(),
        token: text("bearerToken"),
    }
}

fn logger() -> Value {
    json!({ "capabilityType": "logger" })
}

async fn log(host: &Host, granted: &Granted) -> Answer {
    let bearer = format!("Bearer {}", granted.token);
    let headers = [JSON, ("authorization", &bearer)];
    host.post(&format!("{}{LOG}", granted.path), &headers, LINE)
        .await
}

/// A capability that answers what `service` does, at `/do`.
fn capability(kind: &str, service: Router) -> HostCapability {
    let capability = Capability::new(kind, "1.0.0").unwrap();
    let capability = capability.with_permission("POST /**".parse().unwrap());
    HostCapability::new(capability, service)
}

#[tokio::test]
async fn a_grant_is_used_at_the_address_it_came_with_and_with_nothing_but_its_token() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    let request = json!({
        "capabilityType": "logger",
        "minVersion": "0.9.0",
        "reason": "to say hello",
    });
    let answer = host.call(BROKER, Some(&plugin), request).await;
    let granted = granted(&host, &answer);
    assert_eq!(granted.path, format!("/capabilities/logger/{}", granted.id));
    assert!(granted.token.starts_with("tpg_"));
    let grant = &answer.json()["grant"];
    assert_eq!(grant["capabilityType"], "logger");
    assert_eq!(grant["version"], "1.0.0");
    // The message has no field for it (F24).
    let expires_at: u64 = answer.header("x-plugin-grant-expires-at").parse().unwrap();
    assert!(expires_at > 3600);
    assert_eq!(answer.header("cache-control"), "no-store");

    let logged = log(&host, &granted).await;
    assert_eq!((logged.status.as_u16(), &*logged.text()), (200, "{}"));
    host.stop().await;
}

#[tokio::test]
async fn f20_nobody_without_an_identity_is_granted_anything() {
    let host = Host::start().await;
    host.call(BROKER, None, logger())
        .await
        .refused(401, "unauthenticated");
    let plugin = host.admit("p").await;
    let granted = ask(&host, &plugin, logger()).await;
    // And a grant is no identity.
    let impostor = Plugin {
        id: plugin.id.clone(),
        token: granted.token,
    };
    host.call(BROKER, Some(&impostor), logger())
        .await
        .refused(401, "unauthenticated");
    host.stop().await;
}

// It was advertised there, and answered 404.
#[tokio::test]
async fn f21_the_broker_is_where_the_handshake_says() {
    let host = Host::start().await;
    let answer = host
        .call(HANDSHAKE, None, handshake(json!({ "selfId": "p" })))
        .await
        .json();
    let capability = &answer["hostCapabilities"][0];
    assert_eq!(capability["type"], "logger");
    assert_eq!(capability["version"], "1.0.0");
    let endpoint = capability["endpoint"].as_str().unwrap();
    let path = endpoint.strip_prefix(&host.url("")).unwrap();
    let plugin = host.admit("p").await;
    let answer = host
        .call(&format!("{path}{BROKER}"), Some(&plugin), logger())
        .await;
    let granted = granted(&host, &answer);
    assert_eq!(log(&host, &granted).await.status, 200);
    host.call(&format!("{path}{BROKER}"), None, logger())
        .await
        .refused(401, "unauthenticated");
    host.stop().await;
}

#[tokio::test]
async fn what_there_is_not_is_not_granted() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    for (request, status, code, message) in [
        (
            json!({ "capabilityType": "secrets" }),
            404,
            "not_found",
            "unknown capability",
        ),
        (
            json!({ "capabilityType": "logger", "minVersion": "1.0.1" }),
            404,
            "not_found",
            "the capability is there in an older version only",
        ),
        (
            json!({ "capabilityType": "../x" }),
            400,
            "invalid_argument",
            "capability_type",
        ),
        (
            json!({ "capabilityType": "logger", "minVersion": "one" }),
            400,
            "invalid_argument",
            "min_version",
        ),
        (
            json!({ "capabilityType": "logger", "reason": "a\nb" }),
            400,
            "invalid_argument",
            "reason",
        ),
    ] {
        let answer = host.call(BROKER, Some(&plugin), request).await;
        let said = answer.refused(status, code);
        assert!(said.starts_with(message), "{said}");
    }
    host.stop().await;
}

#[tokio::test]
async fn f23_a_grant_is_good_for_its_type_its_address_and_its_calls() {
    let echo = Router::new().route("/do", post("done"));
    let host = Host::offering(&[], vec![capability("secrets", echo)]).await;
    let plugin = host.admit("p").await;
    let granted = ask(&host, &plugin, logger()).await;
    let other = ask(&host, &plugin, logger()).await;
    let bearer = format!("Bearer {}", granted.token);
    for path in [
        format!("/capabilities/secrets/{}/do", granted.id),
        format!("{}{LOG}", other.path),
        format!("{}/", granted.path),
        format!("{}/capability.other.v1.Other/Log", granted.path),
        "/capabilities/logger".to_owned(),
    ] {
        for headers in [
            vec![
                JSON,
                ("connect-protocol-version", "1"),
                ("authorization", &*bearer),
            ],
            vec![JSON, ("authorization", &*bearer)],
        ] {
            let answer = host.post(&path, &headers, LINE).await;
            answer.refused(401, "unauthenticated");
            assert!(answer.header("www-authenticate").contains("invalid_token"));
        }
    }
    // A runtime token is none, either.
    let bearer = format!("Bearer {}", plugin.token);
    host.post(
        &format!("{}{LOG}", granted.path),
        &[JSON, ("authorization", &bearer)],
        LINE,
    )
    .await
    .refused(401, "unauthenticated");
    assert_eq!(log(&host, &granted).await.status, 200);
    host.stop().await;
}

#[tokio::test]
async fn what_is_called_knows_its_caller_and_not_the_token() {
    let tell = Router::new().route(
        "/do",
        post(async |request: Request| {
            let grant = request.extensions().get::<Grant>().unwrap();
            let caller = request.extensions().get::<Principal>().unwrap();
            json!({
                "capability": grant.capability(),
                "caller": caller.subject(),
                "reason": grant.record().reason(),
                "authorization": request.headers().contains_key("authorization"),
                "uri": request.uri().to_string(),
            })
            .to_string()
        }),
    );
    let host = Host::offering(&[], vec![capability("tell", tell)]).await;
    let plugin = host.admit("p").await;
    let request = json!({ "capabilityType": "tell", "reason": "curiosity" });
    let granted = ask(&host, &plugin, request).await;
    let bearer = format!("Bearer {}", granted.token);
    let path = format!("{}/do?a=b", granted.path);
    let answer = host.post(&path, &[("authorization", &bearer)], "").await;
    let expected = json!({
        "capability": "tell",
        "caller": plugin.id,
        "reason": "curiosity",
        "authorization": false,
        "uri": "/do?a=b",
    });
    assert_eq!(answer.json(), expected);
    host.stop().await;
}

#[tokio::test]
async fn grants_end_with_the_tokens_of_their_plugin_and_outlive_a_rotation() {
    let host = Host::start().await;
    let (gone, stays) = (host.admit("gone").await, host.admit("stays").await);
    let (of_gone, of_stays) = (
        ask(&host, &gone, logger()).await,
        ask(&host, &stays, logger()).await,
    );
    let bearer = format!("Bearer {}", stays.token);
    let rotated = host
        .post("/rotate", &[("authorization", &bearer)], "")
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    host.clock.advance(Duration::from_secs(60));

    host.state
        .tokens()
        .revoke_subject("runtime", &gone.id)
        .await
        .unwrap();
    // At once, and not when somebody has got round to it.
    log(&host, &of_gone).await.refused(401, "unauthenticated");
    assert_eq!(log(&host, &of_stays).await.status, 200);
    // And then there is no trace of it.
    let ended = async || {
        let broker = host.state.broker();
        let count = broker.revoke_subject("runtime", &gone.id).await.unwrap();
        count == 0
    };
    eventually("the grants of a plugin that is gone are revoked", ended).await;
    host.stop().await;
}

#[tokio::test]
async fn a_grant_expires_and_may_be_revoked_by_itself() {
    let host = Host::with(&["--grant-ttl", "2m"]).await;
    let plugin = host.admit("p").await;
    let (first, second) = (
        ask(&host, &plugin, logger()).await,
        ask(&host, &plugin, logger()).await,
    );
    let id = first.id.parse().unwrap();
    assert!(host.state.broker().revoke(&id).await.unwrap());
    log(&host, &first).await.refused(401, "unauthenticated");
    host.clock.advance(Duration::from_secs(119));
    assert_eq!(log(&host, &second).await.status, 200);
    host.clock.advance(Duration::from_secs(1));
    log(&host, &second).await.refused(401, "unauthenticated");
    host.stop().await;
}

// A handshake waited for more than a second behind a call to a capability.
#[tokio::test]
async fn f22_a_capability_that_takes_its_time_holds_up_nobody() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        Router::new().route(
            "/do",
            post(async move || {
                entered.notify_one();
                go_on.notified().await;
                "done"
            }),
        )
    };
    let host = Host::offering(&[], vec![capability("slow", slow)]).await;
    let plugin = host.admit("p").await;
    let granted = ask(&host, &plugin, json!({ "capabilityType": "slow" })).await;
    let bearer = format!("Bearer {}", granted.token);
    let path = format!("{}/do", granted.path);
    let headers = [("authorization", &*bearer)];
    let call = host.post(&path, &headers, "");
    let meanwhile = async {
        entered.notified().await;
        // Everything that could wait for it.
        let other = host.admit("other").await;
        let granted = ask(&host, &other, logger()).await;
        assert_eq!(log(&host, &granted).await.status, 200);
        let id = granted.id.parse().unwrap();
        assert!(host.state.broker().revoke(&id).await.unwrap());
        go_on.notify_one();
    };
    let (answer, ()) = tokio::join!(call, meanwhile);
    assert_eq!(answer.text(), "done");
    host.stop().await;
}

// It waited for itself for ever.
#[tokio::test]
async fn f22_a_capability_may_ask_the_broker() {
    let broker = Arc::new(std::sync::OnceLock::<tower_plugin_auth::CapabilityBroker<_>>::new());
    let asks = {
        let broker = Arc::clone(&broker);
        Router::new().route(
            "/do",
            post(async move |request: Request| {
                let caller = request.extensions().get::<Principal>().unwrap().clone();
                let wanted = tower_plugin_auth::GrantRequest::new(caller, "logger");
                let issued = broker.get().unwrap().request(wanted).await.unwrap();
                issued.token().id().to_string()
            }),
        )
    };
    let host = Host::offering(&[], vec![capability("asks", asks)]).await;
    assert!(broker.set(host.state.broker().clone()).is_ok());
    let plugin = host.admit("p").await;
    let granted = ask(&host, &plugin, json!({ "capabilityType": "asks" })).await;
    let bearer = format!("Bearer {}", granted.token);
    let answer = host
        .post(
            &format!("{}/do", granted.path),
            &[("authorization", &bearer)],
            "",
        )
        .await;
    let id = answer.text().parse().unwrap();
    assert!(host.state.broker().revoke(&id).await.unwrap());
    host.stop().await;
}

#[tokio::test]
async fn a_bound_grant_is_good_for_its_plugin_alone() {
    let host = Host::with(&["--bind-grants"]).await;
    let (owner, thief) = (host.admit("owner").await, host.admit("thief").await);
    let granted = ask(&host, &owner, logger()).await;
    // As a bearer of old would send it.
    log(&host, &granted).await.refused(401, "unauthenticated");
    let path = format!("{}{LOG}", granted.path);
    let grant = granted.token;
    for (plugin, status) in [(&owner, 200), (&thief, 401)] {
        let bearer = format!("Bearer {}", plugin.token);
        let headers = [
            JSON,
            ("authorization", &*bearer),
            ("x-plugin-runtime-id", &*plugin.id),
            ("x-plugin-grant", &*grant),
        ];
        let answer = host.post(&path, &headers, LINE).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    host.stop().await;
}

#[tokio::test]
async fn asking_and_calling_have_quotas_of_their_own() {
    let arguments = ["--broker-quota", "1/h:2", "--capability-quota", "1/h:3"];
    let host = Host::with(&arguments).await;
    let plugin = host.admit("p").await;
    let granted = [
        ask(&host, &plugin, logger()).await,
        ask(&host, &plugin, logger()).await,
    ];
    host.call(BROKER, Some(&plugin), logger())
        .await
        .refused(429, "resource_exhausted");
    // Whichever grant is used, the plugin is counted.
    for n in 0..3 {
        assert_eq!(log(&host, &granted[n % 2]).await.status, 200);
    }
    let answer = log(&host, &granted[1]).await;
    answer.refused(429, "resource_exhausted");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    let found = host
        .call(DISCOVER, Some(&plugin), json!({ "serviceType": "x" }))
        .await;
    found.refused(404, "not_found");
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_has_so_many_grants_and_addresses_begin_as_the_operator_says() {
    let arguments = [
        "--grants-per-plugin",
        "2",
        "--public-url",
        "https://plugins.example/",
    ];
    let host = Host::with(&arguments).await;
    let plugin = host.admit("p").await;
    for _ in 0..2 {
        let answer = host.call(BROKER, Some(&plugin), logger()).await;
        let url = answer.json()["grant"]["endpointUrl"].clone();
        let url = url.as_str().unwrap();
        assert!(
            url.starts_with("https://plugins.example/capabilities/logger/"),
            "{url}"
        );
    }
    host.call(BROKER, Some(&plugin), logger())
        .await
        .refused(429, "resource_exhausted");
    let other = host.admit("other").await;
    let answer = host.call(BROKER, Some(&other), logger()).await;
    assert_eq!(answer.status, 200);
    host.stop().await;
}
