//! Who may register, find and call which services.

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    services::serve,
    support::{
        Admin, Answer, DISCOVER, HEALTH_WATCH, Host, Plugin, REGISTER, REPORT, UNREGISTER, WATCH,
    },
};

const KV: [&str; 4] = ["--allow-register", "cache=kv", "--allow-call", "app=kv"];

async fn register(host: &Host, plugin: &Plugin, service_type: &str) -> Answer {
    let offer = json!({
        "serviceType": service_type,
        "version": "1.0.0",
        "endpointPath": "/kv.v1.KV/",
    });
    host.call(REGISTER, Some(plugin), offer).await
}

async fn discover(host: &Host, plugin: &Plugin, service_type: &str) -> Answer {
    let question = json!({ "serviceType": service_type });
    host.call(DISCOVER, Some(plugin), question).await
}

async fn call(host: &Host, plugin: &Plugin, service_type: &str, provider: &Plugin) -> Answer {
    let path = format!("/services/{service_type}/{}/Get", provider.id);
    host.call(&path, Some(plugin), json!({})).await
}

/// How a stream ends that is refused before it begins.
async fn end_of_stream(host: &Host, plugin: &Plugin, path: &str, message: Value) -> Value {
    let message = message.to_string();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message.as_bytes());
    let bearer = format!("Bearer {}", plugin.token);
    let request = http::Request::post(host.url(path))
        .header("content-type", "application/connect+json")
        .header("authorization", bearer)
        .header("x-plugin-runtime-id", &plugin.id)
        .body(http_body_util::Full::from(body))
        .unwrap();
    let answer = host.client().request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let frame = answer.into_body().frame().await.unwrap().unwrap();
    let bytes = frame.into_data().unwrap();
    match bytes[0] {
        2 => serde_json::from_slice::<Value>(&bytes[5..]).unwrap()["error"].clone(),
        _ => Value::Null,
    }
}

#[tokio::test]
async fn s06_what_a_plugin_may_register_is_what_its_operator_says() {
    let host = Host::with(&KV).await;
    let (cache, app) = (host.admit("cache").await, host.admit("app").await);
    assert_eq!(register(&host, &cache, "kv").await.status, 200);
    for (plugin, name, service_type) in [(&cache, "cache", "logger"), (&app, "app", "kv")] {
        let message = register(&host, plugin, service_type)
            .await
            .refused(403, "permission_denied");
        assert_eq!(
            message,
            format!("plugin {name} not authorized to register service type {service_type}")
        );
    }
    // Nothing was left behind by who was refused.
    assert_eq!(Admin::of(&host).stats().await["registrations"], 1);
    host.stop().await;
}

#[tokio::test]
async fn a_name_is_the_one_a_plugin_was_admitted_by() {
    let host = Host::with(&["--allow-register", "Cache Plugin=kv"]).await;
    // Known by the same name, and another that only begins so.
    for (self_id, status) in [
        ("cache plugin", 200),
        ("CACHE-PLUGIN", 200),
        ("cache-plugin-2", 403),
    ] {
        let plugin = host.admit(self_id).await;
        assert_eq!(
            register(&host, &plugin, "kv").await.status,
            status,
            "{self_id}"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn s06_what_a_plugin_may_not_call_it_does_not_find_nor_watch_nor_reach() {
    let address = serve(axum::Router::new().fallback(async || "called")).await;
    let own = format!("cache=http://{address}/");
    let host = Host::with(&[&KV[..], &["--provider", &own]].concat()).await;
    let (cache, app, other) = (
        host.admit("cache").await,
        host.admit("app").await,
        host.admit("other").await,
    );
    assert_eq!(register(&host, &cache, "kv").await.status, 200);
    assert_eq!(discover(&host, &app, "kv").await.status, 200);
    assert_eq!(call(&host, &app, "kv", &cache).await.text(), "called");
    let watched = json!({ "serviceType": "kv" });
    assert_eq!(
        end_of_stream(&host, &app, WATCH, watched.clone()).await,
        Value::Null
    );

    // Not even who provides it.
    for (plugin, name, service_type) in [
        (&other, "other", "kv"),
        (&cache, "cache", "kv"),
        (&app, "app", "nobody-has-it"),
    ] {
        let message = discover(&host, plugin, service_type)
            .await
            .refused(403, "permission_denied");
        assert_eq!(
            message,
            format!("plugin {name} not authorized to call service type {service_type}")
        );
        let answer = call(&host, plugin, service_type, &cache).await;
        answer.refused(403, "permission_denied");
        assert!(
            answer
                .header("www-authenticate")
                .contains("insufficient_scope"),
            "{:?}",
            answer.headers
        );
        for (path, message) in [
            (WATCH, json!({ "serviceType": service_type })),
            (HEALTH_WATCH, json!({ "service": service_type })),
        ] {
            let error = end_of_stream(&host, plugin, path, message).await;
            assert_eq!(error["code"], "permission_denied", "{path}: {error}");
        }
    }
    // The host itself is no service of a plugin.
    let own = json!({ "service": "connectplugin.v1.ServiceRegistry" });
    assert_eq!(
        end_of_stream(&host, &other, HEALTH_WATCH, own).await,
        Value::Null
    );
    host.stop().await;
}

#[tokio::test]
async fn s06_a_star_is_any_plugin_or_any_type_and_deny_wins() {
    let host = Host::with(&[
        "--allow-register",
        "*=kv,cache=*",
        "--deny-register",
        "cache=payroll",
        "--allow-call",
        "*=*",
        "--deny-call",
        "*=payroll,app=kv",
    ])
    .await;
    let (cache, app) = (host.admit("cache").await, host.admit("app").await);
    for (plugin, service_type, status) in [
        (&cache, "kv", 200),
        (&cache, "logger", 200),
        (&cache, "payroll", 403),
        (&app, "kv", 200),
        (&app, "logger", 403),
        (&app, "payroll", 403),
    ] {
        let answer = register(&host, plugin, service_type).await;
        assert_eq!(answer.status, status, "{} {service_type}", plugin.id);
    }
    for (plugin, service_type, status) in [
        (&cache, "kv", 200),
        (&cache, "logger", 200),
        (&cache, "payroll", 403),
        (&app, "kv", 403),
        (&app, "logger", 200),
        (&app, "payroll", 403),
    ] {
        let answer = discover(&host, plugin, service_type).await;
        assert_eq!(answer.status, status, "{} {service_type}", plugin.id);
        // Nobody is there to be called; who may not is not told that.
        let answer = call(&host, plugin, service_type, &app).await;
        let expected = if status == 403 { 403 } else { 404 };
        assert_eq!(
            answer.status,
            expected,
            "{} {service_type}: {}",
            plugin.id,
            answer.text()
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn s06_without_a_rule_nobody_registers_and_nobody_calls() {
    // Each host is told of the other act alone.
    let registers = Host::with(&["--allow-register", "*=*"]).await;
    let calls = Host::with(&["--allow-call", "*=*"]).await;
    for (host, registered, found) in [(&registers, 200, 403), (&calls, 403, 404)] {
        let plugin = host.admit("curl").await;
        assert_eq!(register(host, &plugin, "logger").await.status, registered);
        assert_eq!(discover(host, &plugin, "logger").await.status, found);
        assert_eq!(call(host, &plugin, "logger", &plugin).await.status, found);
        // What is nobody else's business stays.
        host.report(&plugin, "HEALTHY").await;
        let nothing = json!({ "registrationId": "reg-0a" });
        host.call(UNREGISTER, Some(&plugin), nothing)
            .await
            .refused(404, "not_found");
    }
    registers.stop().await;
    calls.stop().await;
}

#[tokio::test]
async fn every_refusal_is_in_the_audit_log_with_who_and_what() {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("1 {}", "7a".repeat(32))).unwrap();
    crate::process::close(&keys);
    let log = folder.path().join("audit");
    let audit = [
        "--audit-file",
        log.to_str().unwrap(),
        "--audit-key-file",
        keys.to_str().unwrap(),
    ];
    let host = Host::with(&[&KV[..], &audit].concat()).await;
    let other = host.admit("other").await;
    register(&host, &other, "kv")
        .await
        .refused(403, "permission_denied");
    discover(&host, &other, "kv")
        .await
        .refused(403, "permission_denied");
    call(&host, &other, "kv", &other)
        .await
        .refused(403, "permission_denied");
    host.call(REPORT, Some(&other), json!({ "state": 1 })).await;

    let stats = Admin::of(&host).stats().await;
    let denied: Vec<_> = stats["audit"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"] == "authz_fail")
        .map(|event| {
            assert_eq!(
                (&event["actor"], &event["outcome"]),
                (&json!(other.id), &json!("denied"))
            );
            ["action", "resource", "reason"].map(|name| event[name].as_str().unwrap().to_owned())
        })
        .collect();
    let path = format!("/services/kv/{}/Get", other.id);
    // The latest first.
    assert_eq!(
        denied,
        [
            ["POST", &path, "INSUFFICIENT_SCOPE"],
            ["call", "kv", "SERVICE_NOT_ALLOWED"],
            ["register", "kv", "SERVICE_NOT_ALLOWED"],
        ]
    );
    host.stop().await;
}
