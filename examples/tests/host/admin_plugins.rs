//! Who is there, as the administration tells it.

use std::time::Duration;

use serde_json::{Value, json};
use tower_plugin_core::Clock;

use crate::support::{Admin, HANDSHAKE, Host, Plugin, handshake};

impl Admin {
    async fn plugins(&self, query: &str) -> Value {
        let answer = self.send("GET", &format!("/admin/plugins{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }
}

fn seconds(host: &Host) -> u64 {
    let since = host.clock.wall().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn ids(page: &Value) -> Vec<String> {
    let plugins = page["plugins"].as_array().unwrap().iter();
    plugins
        .map(|plugin| plugin["runtime_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_plugin_is_told_of_with_what_it_offers_and_without_a_secret() {
    let host = Host::with(&["--token-ttl", "1h", "--token-overlap", "30s"]).await;
    let admin = Admin::of(&host);
    assert_eq!(
        admin.plugins("").await,
        json!({ "plugins": [], "next": null })
    );

    let begun = seconds(&host);
    let request = handshake(json!({ "selfId": "cache", "selfVersion": "1.2.0-rc.1" }));
    let cache = host.call(HANDSHAKE, None, request).await.plugin();
    let quiet = host.admit("quiet").await;
    // Who has done nothing is not in the registry.
    assert_eq!(ids(&admin.plugins("").await), [""; 0]);

    host.clock.advance(Duration::from_secs(60));
    let base = "http://user:s3cr3t@10.0.0.1/";
    host.provide(&cache, "kv", base).await;
    host.provide(&cache, "blob", base).await;
    host.report(&cache, "DEGRADED").await;
    host.report(&quiet, "UNHEALTHY").await;
    let answer = admin.send("GET", "/admin/plugins").await;
    for secret in [&*cache.token, &quiet.token, "s3cr3t"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    let page = answer.json();
    let service = |service_type: &str| json!({ "service_type": service_type, "version": "1.0.0", "endpoint_path": "/logger.v1.Logger/" });
    assert_eq!(
        page["plugins"][0],
        json!({
            "runtime_id": cache.id,
            "self_id": "cache",
            "self_version": "1.2.0-rc.1",
            "since": begun,
            "token": page["plugins"][0]["token"],
            "token_expires_at": begun + 3600,
            "health": "degraded",
            "services": [service("blob"), service("kv")],
            "service_count": 2,
        })
    );
    let other = &page["plugins"][1];
    assert_eq!(other["runtime_id"], quiet.id);
    assert_eq!(
        (&other["self_id"], &other["self_version"]),
        (&json!("quiet"), &Value::Null)
    );
    assert_eq!(
        (&other["health"], &other["services"]),
        (&json!("unhealthy"), &json!([]))
    );

    // Since when it is there does not change with its token; when that ends does.
    let answer = admin
        .send("POST", &format!("/admin/tokens/{}/rotate", cache.id))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rotated = &admin.plugins("").await["plugins"][0];
    assert_eq!(rotated["since"], begun);
    assert_eq!(rotated["self_version"], "1.2.0-rc.1");
    assert_eq!(rotated["token_expires_at"], begun + 60 + 3600);
    assert_ne!(rotated["token"], page["plugins"][0]["token"]);

    // By the id that is told, the token is ended.
    let id = rotated["token"].as_str().unwrap();
    let answer = admin
        .send("POST", &format!("/admin/tokens/{id}/revoke"))
        .await;
    assert_eq!(answer.json(), json!({ "revoked": 1 }));
    crate::support::eventually("it is forgotten", async || {
        ids(&admin.plugins("").await) == [quiet.id.clone()]
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn plugins_are_listed_in_pages_of_a_bounded_size() {
    let host = Host::with(&["--max-registrations-per-plugin", "200"]).await;
    let admin = Admin::of(&host);
    let mut expected = Vec::new();
    for name in ["e", "b", "d", "a", "c"] {
        let plugin: Plugin = host.admit(name).await;
        host.report(&plugin, "HEALTHY").await;
        expected.push(plugin.id);
    }
    expected.sort();
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = admin.plugins(&query).await;
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        query = format!("?limit=2&after={next}");
    }
    assert_eq!(seen, expected);

    let busy = host.admit("busy").await;
    for number in 0..101 {
        host.provide(&busy, &format!("s{number}"), "x").await;
    }
    let page = admin.plugins(&format!("?after={}", expected[1])).await;
    let busy = &page["plugins"][0];
    assert_eq!(busy["self_id"], "busy");
    assert_eq!(busy["services"].as_array().unwrap().len(), 100);
    assert_eq!(busy["service_count"], 101);

    for bad in ["limit=0", "limit=201", "limit=x", "s3cr3t=1"] {
        let answer = admin.send("GET", &format!("/admin/plugins?{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(!answer.text().contains("s3cr3t"), "{}", answer.text());
    }
    host.stop().await;
}

/// The page reads these fields; a name that is changed here has to be changed there.
#[tokio::test]
async fn the_page_shows_the_plugins_by_the_names_they_are_told_by() {
    let host = Host::start().await;
    let admin = Admin::of(&host);
    let plugin = host.admit("cache").await;
    host.provide(&plugin, "kv", "x").await;
    let page = admin.send("GET", "/").await.text();
    let told = &admin.plugins("?limit=50").await["plugins"][0];
    assert!(page.contains("/admin/plugins?limit=50"));
    for field in [
        "health",
        "runtime_id",
        "self_id",
        "self_version",
        "services",
        "since",
        "token_expires_at",
    ] {
        assert!(told.get(field).is_some(), "{field}");
        assert!(page.contains(&format!("plugin.{field}")), "{field}");
    }
    for field in ["service_type", "version"] {
        assert!(told["services"][0].get(field).is_some(), "{field}");
        assert!(page.contains(&format!("service.{field}")), "{field}");
    }
    host.stop().await;
}
