//! Offers, discovery and health, as their owners and as others.

use serde_json::{Value, json};

use crate::support::{DISCOVER, Host, Plugin, REGISTER, REPORT, UNREGISTER};

const OFFER: &str = r#"{"serviceType":"logger","version":"1.10.0","endpointPath":"/logger.v1.Logger/","metadata":{"base_url":"http://10.0.0.1:1"}}"#;

fn offer() -> Value {
    serde_json::from_str(OFFER).unwrap()
}

async fn register(host: &Host, plugin: &Plugin, offer: Value) -> String {
    let answer = host.call(REGISTER, Some(plugin), offer).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["registrationId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_registered_is_discovered_until_it_is_taken_back() {
    let host = Host::start().await;
    let (provider, user) = (host.admit("logger").await, host.admit("app").await);
    let id = register(&host, &provider, offer()).await;
    assert!(
        id.strip_prefix("reg-")
            .is_some_and(|random| random.len() == 32),
        "{id}"
    );

    // 1.10.0 is above 1.9.0.
    let found = host
        .call(
            DISCOVER,
            Some(&user),
            json!({ "serviceType": "logger", "minVersion": "1.9.0" }),
        )
        .await;
    assert_eq!(
        found.json(),
        json!({
            "endpoint": {
                "providerId": provider.id,
                "version": "1.10.0",
                "endpointUrl": format!("/services/logger/{}", provider.id),
                "metadata": { "base_url": "http://10.0.0.1:1" },
            },
            "singleProvider": true,
        })
    );

    let take_back = json!({ "registrationId": id });
    host.call(UNREGISTER, Some(&user), take_back.clone())
        .await
        .refused(404, "not_found");
    let answer = host
        .call(UNREGISTER, Some(&provider), take_back.clone())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "{}")
    );
    host.call(UNREGISTER, Some(&provider), take_back)
        .await
        .refused(404, "not_found");
    host.call(DISCOVER, Some(&user), json!({ "serviceType": "logger" }))
        .await
        .refused(404, "not_found");
    host.stop().await;
}

#[tokio::test]
async fn two_providers_take_turns_and_the_unhealthy_one_loses_its() {
    let host = Host::start().await;
    let (a, b) = (host.admit("a").await, host.admit("b").await);
    for plugin in [&a, &b] {
        register(&host, plugin, offer()).await;
    }
    let discover = || async {
        let answer = host
            .call(DISCOVER, Some(&a), json!({ "serviceType": "logger" }))
            .await
            .json();
        assert_eq!(answer.get("singleProvider"), None);
        answer["endpoint"]["providerId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_ne!(discover().await, discover().await);

    let report = json!({ "state": "HEALTH_STATE_UNHEALTHY", "reason": "logger down", "unavailableDependencies": ["logger"] });
    assert_eq!(host.call(REPORT, Some(&b), report).await.status, 200);
    let answer = host
        .call(DISCOVER, Some(&a), json!({ "serviceType": "logger" }))
        .await
        .json();
    assert_eq!(
        (&answer["endpoint"]["providerId"], &answer["singleProvider"]),
        (&json!(a.id), &json!(true))
    );

    host.call(
        DISCOVER,
        Some(&a),
        json!({ "serviceType": "logger", "minVersion": "2.0.0" }),
    )
    .await
    .refused(404, "not_found");
    host.stop().await;
}

#[tokio::test]
async fn of_several_providers_the_one_is_found_that_the_setting_says() {
    let found = async |arguments: &[&str], times: usize| {
        let host = Host::with(arguments).await;
        let (a, b) = (host.admit("a").await, host.admit("b").await);
        for plugin in [&a, &b] {
            register(&host, plugin, offer()).await;
        }
        let mut of_first = 0;
        for _ in 0..times {
            let message = json!({ "serviceType": "logger" });
            let answer = host.call(DISCOVER, Some(&a), message).await.json();
            of_first += usize::from(answer["endpoint"]["providerId"] == a.id);
        }
        host.stop().await;
        of_first
    };
    assert_eq!(found(&["--selection", "first"], 10).await, 10);
    assert_eq!(found(&["--selection", "round-robin"], 10).await, 5);
    assert_eq!(found(&[], 10).await, 5);
    // Of 60 fair throws none has one side alone, but once in 10^17 tests.
    let of_first = found(&["--selection", "random"], 60).await;
    assert!((1..60).contains(&of_first), "{of_first}");
}

#[tokio::test]
async fn every_field_is_checked_and_none_is_repeated() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    let with = |field: &str, value: Value| {
        let mut offer = offer();
        offer[field] = value;
        offer
    };
    let metadata = |value: &str| with("metadata", json!({ "k": value }));
    for (path, message, field) in [
        (
            REGISTER,
            with("serviceType", json!("../s3cr3t")),
            "service_type",
        ),
        (REGISTER, with("serviceType", json!("")), "service_type"),
        (REGISTER, with("version", json!("01.0.0")), "version"),
        (REGISTER, with("version", json!("")), "version"),
        (
            REGISTER,
            with("endpointPath", json!("/../s3cr3t")),
            "endpoint_path",
        ),
        (
            REGISTER,
            with("endpointPath", json!("//s3cr3t")),
            "endpoint_path",
        ),
        (
            REGISTER,
            with("endpointPath", json!("/x?s3cr3t")),
            "endpoint_path",
        ),
        (
            REGISTER,
            with("endpointPath", json!("/x\r\ns3cr3t: 1")),
            "endpoint_path",
        ),
        (REGISTER, metadata("s3cr3t\u{1b}[2J"), "metadata"),
        (REGISTER, metadata(&"s3cr3t".repeat(700)), "metadata"),
        (
            REGISTER,
            with("metadata", json!({ "s3cr3t key": "v" })),
            "metadata",
        ),
        (
            DISCOVER,
            json!({ "serviceType": "s3cr3t/" }),
            "service_type",
        ),
        (
            DISCOVER,
            json!({ "serviceType": "logger", "minVersion": "s3cr3t" }),
            "min_version",
        ),
        (REPORT, json!({}), "state"),
        (REPORT, json!({ "state": 7 }), "state"),
        (
            REPORT,
            json!({ "state": 1, "reason": "s3cr3t".repeat(200) }),
            "reason",
        ),
        (
            REPORT,
            json!({ "state": 1, "unavailableDependencies": ["s3cr3t\n"] }),
            "unavailable_dependencies",
        ),
    ] {
        let answer = host
            .call(path, Some(&plugin), message)
            .await
            .refused(400, "invalid_argument");
        assert!(
            answer.starts_with(field) && !answer.contains("s3cr3t"),
            "{answer}"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn one_plugin_cannot_fill_the_registry() {
    let host = Host::start().await;
    let plugin = host.admit("p").await;
    for _ in 0..32 {
        register(&host, &plugin, offer()).await;
    }
    host.call(REGISTER, Some(&plugin), offer())
        .await
        .refused(429, "resource_exhausted");
    register(&host, &host.admit("q").await, offer()).await;
    host.stop().await;
}
