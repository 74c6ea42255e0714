//! Admission and identity.

use serde_json::{Value, json};

use crate::support::{HANDSHAKE, Host, handshake};

#[tokio::test]
async fn an_admitted_plugin_gets_an_identity_of_its_own() {
    let host = Host::start().await;
    let answer = host
        .call(
            HANDSHAKE,
            None,
            handshake(json!({ "selfId": "Cache Plugin", "selfVersion": "1.0.0" })),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["coreProtocolVersion"], 1);
    assert_eq!(answer["appProtocolVersion"], 1);
    assert_eq!(answer["serverMetadata"]["server_version"], "0.1.0");
    let id = answer["runtimeId"].as_str().unwrap();
    assert!(
        id.strip_prefix("cache-plugin-")
            .is_some_and(|random| random.len() == 32),
        "{id}"
    );
    assert!(answer["runtimeToken"].as_str().unwrap().starts_with("tpr_"));

    let again = host.admit("Cache Plugin").await;
    assert_ne!(again.id, id);
    host.stop().await;
}

// Taking over an id took 18,129 anonymous calls against 16 random bits in one namespace.
#[tokio::test]
async fn f01_a_second_plugin_of_the_same_name_leaves_the_first_alone() {
    let host = Host::start().await;
    let first = host.admit("cache").await;
    for _ in 0..50 {
        assert_ne!(host.admit("Cache").await.id, first.id);
    }
    let answer = host
        .call(
            crate::support::REPORT,
            Some(&first),
            json!({ "state": "HEALTH_STATE_HEALTHY" }),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    host.stop().await;
}

#[tokio::test]
async fn a_caller_without_a_name_learns_versions_and_gets_no_identity() {
    let host = Host::start().await;
    let answer = host
        .call(HANDSHAKE, None, handshake(json!({})))
        .await
        .json();
    assert_eq!(answer["coreProtocolVersion"], 1);
    assert_eq!(
        (answer.get("runtimeId"), answer.get("runtimeToken")),
        (None, None)
    );
    host.stop().await;
}

#[tokio::test]
async fn the_checks_come_in_the_order_of_the_protocol() {
    let host = Host::start().await;
    let cookie = "invalid magic cookie - this may not be a connect-plugin server";
    for (changes, status, code, message) in [
        // Each line is also wrong in everything the later ones are.
        (
            json!({ "magicCookieValue": "wrong", "coreProtocolVersion": 7, "appProtocolVersion": 9, "selfId": "/" }),
            400,
            "invalid_argument",
            cookie,
        ),
        (
            json!({ "magicCookieKey": "OTHER", "coreProtocolVersion": 7 }),
            400,
            "invalid_argument",
            cookie,
        ),
        (
            json!({ "coreProtocolVersion": 7, "appProtocolVersion": 9, "selfId": "/" }),
            400,
            "invalid_argument",
            "unsupported core protocol version: 7 (server supports: 1)",
        ),
        (
            json!({ "appProtocolVersion": 999, "selfId": "/" }),
            400,
            "failed_precondition",
            "version mismatch: client=999, server=1",
        ),
    ] {
        let answer = host.call(HANDSHAKE, None, handshake(changes)).await;
        assert_eq!(answer.refused(status, code), message);
    }
    host.stop().await;
}

#[tokio::test]
async fn the_published_cookie_admits_nobody_unless_admission_is_open() {
    let host = Host::start().await;
    let public = json!({ "magicCookieValue": "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e", "selfId": "p" });
    host.call(HANDSHAKE, None, handshake(public))
        .await
        .refused(400, "invalid_argument");
    host.stop().await;
}

#[tokio::test]
async fn every_field_is_checked_and_none_is_repeated() {
    let host = Host::start().await;
    let metadata = |entries: usize| -> Value {
        (0..entries)
            .map(|n| (format!("k{n}"), json!("v")))
            .collect()
    };
    for (changes, field) in [
        (json!({ "selfId": "../s3cr3t" }), "self_id"),
        (json!({ "selfId": "a..s3cr3t" }), "self_id"),
        (json!({ "selfId": "x".repeat(129) }), "self_id"),
        (
            json!({ "selfId": "p", "selfVersion": "s3cr3t" }),
            "self_version",
        ),
        (
            json!({ "requestedPlugins": vec!["kv"; 65] }),
            "requested_plugins",
        ),
        (
            json!({ "requestedPlugins": ["s3cr3t\n"] }),
            "requested_plugins",
        ),
        (
            json!({ "clientMetadata": { "k": "s3cr3t\r\nx: y" } }),
            "client_metadata",
        ),
        (
            json!({ "clientMetadata": metadata(101) }),
            "client_metadata",
        ),
    ] {
        let message = host
            .call(HANDSHAKE, None, handshake(changes))
            .await
            .refused(400, "invalid_argument");
        assert!(
            message.starts_with(field) && !message.contains("s3cr3t"),
            "{message}"
        );
    }
    host.stop().await;
}

// 100,000 duplicates used to give 100,000 entries back.
#[tokio::test]
async fn f14_each_known_plugin_is_told_of_once() {
    let host = Host::with(&[
        "--plugin",
        "kv=1.2.0=/kv.v1.KVService/",
        "--plugin",
        "log=2.0.0=/log.v1.Log/",
    ])
    .await;
    let answer = host
        .call(
            HANDSHAKE,
            None,
            handshake(json!({ "requestedPlugins": ["kv", "kv", "unknown", "kv"] })),
        )
        .await;
    let plugins = json!([{ "name": "kv", "version": "1.2.0", "servicePath": "/kv.v1.KVService/" }]);
    assert_eq!(answer.json()["plugins"], plugins);
    host.stop().await;
}
