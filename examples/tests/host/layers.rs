//! The layers in front: who is let through, how often, and what the others are told.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    CHECK, DISCOVER, HANDSHAKE, HEALTH_WATCH, Host, Plugin, REGISTER, REPORT, UNREGISTER, WATCH,
    handshake,
};

const PROTECTED: [&str; 6] = [DISCOVER, HEALTH_WATCH, REGISTER, REPORT, UNREGISTER, WATCH];

// Register, report, discover and unregister used to read the header and never the token.
#[tokio::test]
async fn f03_no_call_counts_without_the_callers_own_token() {
    let host = Host::start().await;
    let (alice, bob) = (host.admit("alice").await, host.admit("bob").await);
    let bearer = |token: &str| format!("Bearer {token}");
    let flipped = format!(
        "{}{}",
        &alice.token[..alice.token.len() - 1],
        if alice.token.ends_with('A') { 'B' } else { 'A' }
    );
    for path in PROTECTED {
        for (what, headers) in [
            ("nothing", vec![]),
            (
                "an id alone",
                vec![("x-plugin-runtime-id", alice.id.clone())],
            ),
            (
                "another's id",
                vec![
                    ("x-plugin-runtime-id", alice.id.clone()),
                    ("authorization", bearer(&bob.token)),
                ],
            ),
            (
                "an invented token",
                vec![("authorization", bearer("test-token"))],
            ),
            ("a near miss", vec![("authorization", bearer(&flipped))]),
            (
                "another scheme",
                vec![("authorization", format!("Basic {}", alice.token))],
            ),
            ("no token", vec![("authorization", "Bearer ".to_owned())]),
        ] {
            let mut sent = vec![("content-type", "application/json")];
            sent.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
            let answer = host.post(path, &sent, "{}").await;
            let message = answer.refused(401, "unauthenticated");
            assert!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{what}: {:?}",
                answer.headers
            );
            assert!(
                !message.contains(&alice.id) && !message.contains("test-token"),
                "{what}: {message}"
            );
        }
    }
    host.stop().await;
}

// Interceptors for unary calls used to leave streams open to everyone.
#[tokio::test]
async fn f07_a_stream_is_refused_inside_the_stream() {
    let host = Host::start().await;
    let headers = [("content-type", "application/connect+proto")];
    for path in [WATCH, HEALTH_WATCH] {
        let answer = host
            .post(path, &headers, &b"\0\0\0\0\x03\x0a\x01x"[..])
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "application/connect+proto")
        );
        assert_eq!(answer.body[0], 2, "end of stream");
        let end: Value = serde_json::from_slice(&answer.body[5..]).unwrap();
        assert_eq!(end["error"]["code"], "unauthenticated");
    }
    host.stop().await;
}

#[tokio::test]
async fn the_runtime_id_header_may_be_left_out_but_not_doubled() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    let token = format!("bearer {}", plugin.token);
    let report = r#"{"state":"HEALTH_STATE_HEALTHY"}"#;
    let headers = [
        ("content-type", "application/json"),
        ("authorization", token.as_str()),
    ];
    assert_eq!(host.post(REPORT, &headers, report).await.status, 200);

    let doubled = [
        headers.as_slice(),
        &[("x-plugin-runtime-id", plugin.id.as_str()); 2],
    ]
    .concat();
    host.post(REPORT, &doubled, report)
        .await
        .refused(400, "invalid_argument");
    host.stop().await;
}

#[tokio::test]
async fn an_expired_token_ends_the_identity_and_all_it_offered() {
    let host = Host::with(&["--token-ttl", "1m"]).await;
    let old = host.admit("old").await;
    let offer = json!({ "serviceType": "logger", "version": "1.0.0", "endpointPath": "/l/" });
    assert_eq!(host.call(REGISTER, Some(&old), offer).await.status, 200);

    host.clock.advance(Duration::from_secs(30));
    let young = host.admit("young").await;
    let look = || host.call(DISCOVER, Some(&young), json!({ "serviceType": "logger" }));
    assert_eq!(look().await.status, 200);
    host.clock.advance(Duration::from_secs(30));
    look().await.refused(404, "not_found");
    host.call(REPORT, Some(&old), json!({ "state": 1 }))
        .await
        .refused(401, "unauthenticated");
    host.stop().await;
}

#[tokio::test]
async fn fifty_parallel_handshakes_are_admitted_exactly_as_often_as_the_quota_says() {
    let host = Host::with(&["--handshake-quota", "6/m:10"]).await;
    let request = handshake(json!({ "selfId": "p" }));
    let answers = join_all((0..50).map(|_| host.call(HANDSHAKE, None, request.clone()))).await;
    let mut statuses = HashMap::new();
    for answer in &answers {
        *statuses.entry(answer.status.as_u16()).or_insert(0) += 1;
        if answer.status != 200 {
            answer.refused(429, "resource_exhausted");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    }
    assert_eq!(statuses, HashMap::from([(200, 10), (429, 40)]));

    // Ten seconds buy one more.
    host.clock.advance(Duration::from_secs(10));
    assert_eq!(
        host.call(HANDSHAKE, None, request.clone()).await.status,
        200
    );
    host.call(HANDSHAKE, None, request)
        .await
        .refused(429, "resource_exhausted");
    host.stop().await;
}

#[tokio::test]
async fn each_plugin_and_each_kind_of_call_has_a_quota_of_its_own() {
    let quotas = [
        "--register-quota",
        "1/h:2",
        "--discover-quota",
        "1/h:1",
        "--health-quota",
        "1/h:1",
        "--watch-quota",
        "1/h:1",
    ];
    let host = Host::with(&quotas).await;
    let (a, b) = (host.admit("a").await, host.admit("b").await);
    let spend = async |plugin: &Plugin, path: &str, message: Value, times: usize| {
        for _ in 0..times {
            let answer = host.call(path, Some(plugin), message.clone()).await;
            assert_ne!(answer.status, 429, "{path}");
        }
        let answer = host.call(path, Some(plugin), message).await;
        answer.refused(429, "resource_exhausted");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    };
    for plugin in [&a, &b] {
        spend(plugin, REGISTER, json!({}), 2).await;
        // Taking back is charged to the same quota.
        host.call(UNREGISTER, Some(plugin), json!({}))
            .await
            .refused(429, "resource_exhausted");
        spend(plugin, DISCOVER, json!({ "serviceType": "x" }), 1).await;
        spend(plugin, REPORT, json!({ "state": 1 }), 1).await;
        spend(plugin, WATCH, json!({}), 1).await;
    }
    host.stop().await;
}

// The header used to be the key: any value meant a fresh quota, a victim's value drained the victim's.
#[tokio::test]
async fn f30_a_made_up_runtime_id_buys_no_handshakes() {
    let host = Host::with(&["--handshake-quota", "1/h:1"]).await;
    host.admit("p").await;
    for n in 0..5 {
        let id = format!("p-{n}");
        let headers = [
            ("content-type", "application/json"),
            ("x-plugin-runtime-id", id.as_str()),
            ("x-forwarded-for", "10.9.8.7"),
        ];
        host.post(HANDSHAKE, &headers, handshake(json!({})).to_string())
            .await
            .refused(429, "resource_exhausted");
    }
    host.stop().await;
}

#[tokio::test]
async fn guessing_tokens_spends_the_quota_of_the_address() {
    let host = Host::with(&["--client-quota", "1/h:3"]).await;
    for _ in 0..3 {
        host.call(DISCOVER, None, json!({}))
            .await
            .refused(401, "unauthenticated");
    }
    for path in [DISCOVER, HANDSHAKE, CHECK, "/nothing/here"] {
        assert_eq!(host.call(path, None, json!({})).await.status, 429, "{path}");
    }
    assert_eq!(
        (
            host.get("/healthz").await.status,
            host.get("/readyz").await.status
        ),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    host.stop().await;
}

#[tokio::test]
async fn an_ambiguous_or_oversized_head_is_refused_before_anything_else() {
    let host = Host::start().await;
    let (status, header) = (
        "/services/x/y/..%2F..%2Fconnectplugin.v1.PluginControl%2FShutdown",
        "x".repeat(9000),
    );
    host.post(status, &[("content-type", "application/proto")], "")
        .await
        .refused(400, "invalid_argument");
    let answer = host
        .post(
            CHECK,
            &[("content-type", "application/proto"), ("x-large", &header)],
            "",
        )
        .await;
    answer.refused(431, "resource_exhausted");
    host.stop().await;
}
