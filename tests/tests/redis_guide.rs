//! What `docs/distributed.md` tells operators, on a real Redis.

use std::{env, fs, net::TcpListener, path::Path, time::Duration};

use tempfile::TempDir;
use tokio::process::Command;
use tower_plugin_ratelimit::{
    Cost, Operation, Policy, Unavailable,
    redis::{OnUnavailable, RedisLimiter},
};
use tower_plugin_tests::{
    documents::{blocks, documents},
    redis::RedisServer,
};

fn limiter(url: &str) -> RedisLimiter {
    let builder = RedisLimiter::builder(url)
        .with_deadline(Duration::from_secs(10))
        .with_on_unavailable(OnUnavailable::Deny);
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
    let [command] = blocks("docs/distributed.md", "Running Redis");
    let words: Vec<_> = command.text.split_whitespace().collect();
    let (permissions, user): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| word.starts_with('+'));
    assert_eq!(permissions.len(), 5, "{permissions:?}");
    let grant = async |name: &str, permissions: &[&str]| {
        let said = user.iter().map(|word| match *word {
            "limiter" => name,
            ">PASSWORD" => ">pw",
            other => other,
        });
        let said: Vec<_> = said.chain(permissions.iter().copied()).collect();
        server.cli(&said).await;
        format!("redis://{name}:pw@127.0.0.1:{}", server.port())
    };
    let url = grant("limiter", &permissions).await;
    use_all(&server, &limiter(&url)).await.unwrap();
    for missing in &permissions {
        let others = permissions.iter().filter(|other| *other != missing);
        let others: Vec<_> = others.copied().collect();
        let url = grant(&missing[1..], &others).await;
        let limiter = limiter(&url);
        limiter.connected().await.unwrap();
        let outcome = use_all(&server, &limiter).await;
        assert!(outcome.is_err(), "without {missing}");
    }
    let url = grant("stranger", &permissions)
        .await
        .replace(":pw@", ":wp@");
    assert!(limiter(&url).connected().await.is_err());
}

#[tokio::test]
async fn the_settings_of_the_documents_are_settings_of_redis() {
    let server = RedisServer::start().await;
    let known = server.cli(&["CONFIG", "GET", "*"]).await;
    let mut count = 0;
    for document in documents() {
        for (line, span) in document.spans() {
            let words: Vec<_> = span.split(' ').collect();
            let [name, value] = words[..] else { continue };
            if known.lines().any(|known| known == name) && span.contains('-') {
                count += 1;
                let set = server.try_cli(&["CONFIG", "SET", name, value]).await;
                assert_eq!(set.as_deref(), Ok("OK"), "{}: {span}", document.at(line));
            }
        }
    }
    assert!(count >= 4, "{count} settings were found");
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

/// An authority of its own, and what it says about 127.0.0.1.
async fn certificates(directory: &Path) {
    let openssl = async |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(directory);
        let output = command.output().await.expect("apt-get install openssl");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {errors}");
    };
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "{new} -x509 -subj /CN=authority -keyout ca.key -out ca.pem"
    ))
    .await;
    openssl(&format!(
        "{new} -subj /CN=redis -keyout redis.key -out redis.csr"
    ))
    .await;
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let sign = "x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial";
    openssl(&format!("{sign} -extfile names -out redis.pem")).await;
}

#[tokio::test]
async fn tls_is_spoken_to_whoever_is_trusted() {
    let directory = TempDir::new().unwrap();
    certificates(directory.path()).await;
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let server = RedisServer::start().await;
    for (setting, value) in [
        ("tls-auth-clients", "no"),
        ("tls-ca-cert-file", &file("ca.pem")),
        ("tls-key-file", &file("redis.key")),
        ("tls-cert-file", &file("redis.pem")),
    ] {
        server.cli(&["CONFIG", "SET", setting, value]).await;
    }
    // Somebody else may take a free port before the server does.
    let port = loop {
        let port = free_port();
        let listen = ["CONFIG", "SET", "tls-port", &port];
        if server.try_cli(&listen).await.is_ok() {
            break port;
        }
    };
    let url = format!("rediss://127.0.0.1:{port}");
    // Whom to trust is said to a process as a whole, so there has to be another.
    let asks = async |trusted: Option<String>| {
        let mut other = Command::new(env::current_exe().unwrap());
        other
            .args([
                "--exact",
                "a_process_that_is_told_where_redis_is",
                "--ignored",
            ])
            .env("GUIDE_REDIS", &url)
            .env_remove("SSL_CERT_DIR")
            .envs(trusted.map(|trusted| ("SSL_CERT_FILE", trusted)));
        other.output().await.unwrap().status.success()
    };
    assert!(asks(Some(file("ca.pem"))).await);
    assert!(!asks(None).await, "nobody knows this authority");
    // And who speaks no TLS is no reason to panic.
    let plain = server.url().replace("redis:", "rediss:");
    assert!(limiter(&plain).connected().await.is_err());
}

#[tokio::test]
#[ignore = "part of `tls_is_spoken_to_whoever_is_trusted`"]
async fn a_process_that_is_told_where_redis_is() {
    let limiter = limiter(&env::var("GUIDE_REDIS").unwrap());
    limiter.connected().await.unwrap();
    let decision = limiter.check_key(&policy(&["10/h"]), "k", Cost::ONE).await;
    assert!(decision.unwrap().is_allowed());
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}
