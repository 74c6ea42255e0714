//! What `docs/distributed.md` tells operators, on a real Redis.

use std::time::Duration;

use tower_plugin_ratelimit::{
    Cost, Operation, Policy, Unavailable,
    redis::{OnUnavailable, RedisLimiter},
};
use tower_plugin_tests::redis::RedisServer;

/// As the guide has them.
const PERMISSIONS: [&str; 5] = ["+eval", "+evalsha", "+time", "+mget", "+set"];

fn limiter(url: &str) -> RedisLimiter {
    let builder = RedisLimiter::builder(url)
        .with_deadline(Duration::from_secs(10))
        .on_unavailable(OnUnavailable::Deny);
    builder.build().unwrap()
}

fn policy(quotas: &[&str]) -> Policy {
    Policy::new("api", quotas.iter().map(|text| text.parse().unwrap())).unwrap()
}

/// Everything a limiter does: a decision, one without the script, a record that is of no more use.
async fn use_all(server: &RedisServer, limiter: &RedisLimiter) -> Result<(), Unavailable> {
    let hourly = policy(&["10/h"]);
    for _ in 0..2 {
        let decision = limiter.check_key(&hourly, "k", Cost::ONE).await?;
        assert!(decision.is_allowed());
        server.cli(&["SCRIPT", "FLUSH"]).await;
    }
    let reset = limiter.apply_key(&hourly, "k", Operation::Reset).await?;
    assert_eq!(reset.remaining(), 10);
    Ok(())
}

#[tokio::test]
async fn the_permissions_of_the_guide_are_enough_and_each_is_needed() {
    let server = RedisServer::start().await;
    let grant = async |name: &str, permissions: &[&str]| {
        let user = ["ACL", "SETUSER", name, "on", ">pw", "resetkeys", "~tp:rl:*"];
        let nothing = ["resetchannels", "-@all"];
        server
            .cli(&[&user[..], &nothing, permissions].concat())
            .await;
        format!("redis://{name}:pw@127.0.0.1:{}", server.port())
    };
    let url = grant("limiter", &PERMISSIONS).await;
    use_all(&server, &limiter(&url)).await.unwrap();
    for missing in PERMISSIONS {
        let others = PERMISSIONS.into_iter().filter(|other| *other != missing);
        let url = grant(&missing[1..], &others.collect::<Vec<_>>()).await;
        let limiter = limiter(&url);
        limiter.connected().await.unwrap();
        let outcome = use_all(&server, &limiter).await;
        assert!(outcome.is_err(), "without {missing}");
    }
    let url = grant("stranger", &PERMISSIONS)
        .await
        .replace(":pw@", ":wp@");
    assert!(limiter(&url).connected().await.is_err());
}

#[tokio::test]
async fn a_record_lives_until_nothing_is_owed() {
    let server = RedisServer::start().await;
    let limiter = limiter(&server.url());
    // A quarter of an hour for one unit, a day for the next policy.
    for (quotas, millis) in [(&["4/h"][..], 900_000), (&["10/s", "1/d"], 86_400_000)] {
        let decision = limiter.check_key(&policy(quotas), "k", Cost::ONE).await;
        assert!(decision.unwrap().is_allowed());
        let keys = server.cli(&["KEYS", "*"]).await;
        let [key] = keys.lines().collect::<Vec<_>>()[..] else {
            panic!("{keys}");
        };
        let hash = key.strip_prefix("tp:rl:").unwrap();
        assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let left: u64 = server.cli(&["PTTL", key]).await.parse().unwrap();
        assert!(
            (millis - 60_000..=millis).contains(&left),
            "{quotas:?}: {left}"
        );
        server.cli(&["DEL", key]).await;
    }
}

#[tokio::test]
async fn it_works_through_a_unix_socket() {
    let server = RedisServer::start_on_socket(&[]).await;
    use_all(&server, &limiter(&server.url())).await.unwrap();
}
