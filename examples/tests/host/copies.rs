//! Two copies of the host on one Redis.

use std::{
    process::Stdio,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::{Instant, sleep},
};
use tower_plugin_core::{Clock, SystemClock};

use crate::{
    process::Program,
    support::{Answer, BROKER, DISCOVER, HANDSHAKE, Plugin, SECRET, handshake},
};

const ADMIN: &str = "the-token-of-the-administrator";
/// What is revoked by one copy is refused by all after this long at most.
const BOUND: Duration = Duration::from_secs(2);

struct Redis {
    server: Child,
    folder: TempDir,
}

impl Redis {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("redis.sock");
        let server = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(&socket)
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is missing: apt-get install redis-server");
        let until = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&socket).await.is_err() {
            assert!(Instant::now() < until, "redis-server does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        Self { server, folder }
    }

    async fn kill(&mut self) {
        self.server.kill().await.unwrap();
    }

    async fn copy(&self, more: &[&str]) -> Copy {
        let url = format!("redis+unix://{}/redis.sock", self.folder.path().display());
        let keys = format!("1 {}", "3c".repeat(32));
        let arguments = [
            &[
                "--redis",
                &url,
                "--admin-listen",
                "127.0.0.1:0",
                "--handshake-quota",
                "100/s",
                // A name is in the token, whichever copy has issued it.
                "--allow-call=p=*",
            ],
            more,
        ]
        .concat();
        let environment = [
            ("PLUGIN_HOST_BOOTSTRAP_SECRET", SECRET),
            ("PLUGIN_HOST_TOKEN_KEYS", &keys),
            ("PLUGIN_HOST_ADMIN_TOKEN", ADMIN),
        ];
        let program = Program::with(&arguments, &environment).await;
        let (_, rest) = program.script.split_once("/admin: ").unwrap();
        Copy {
            admin: rest.lines().next().unwrap().to_owned(),
            url: program.url(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            program,
        }
    }
}

struct Copy {
    url: String,
    admin: String,
    client: Client<HttpConnector, Full<Bytes>>,
    program: Program,
}

impl Copy {
    async fn post(&self, url: &str, token: &str, message: &str) -> Answer {
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header("connect-protocol-version", "1")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from(message.to_owned()))
            .unwrap();
        Answer::of(self.client.request(request).await.unwrap()).await
    }

    async fn call(&self, path: &str, token: &str, message: &Value) -> Answer {
        let url = format!("{}{path}", self.url);
        self.post(&url, token, &message.to_string()).await
    }

    async fn admit(&self, self_id: &str) -> (String, String) {
        let request = handshake(json!({ "selfId": self_id }));
        let answer = self.call(HANDSHAKE, "none", &request).await;
        let Plugin { id, token } = answer.plugin();
        (id, token)
    }

    async fn knows(&self, token: &str) -> bool {
        let message = json!({ "serviceType": "x" });
        match self.call(DISCOVER, token, &message).await.status.as_u16() {
            401 => false,
            404 => true,
            other => panic!("{other}"),
        }
    }

    async fn seen(&self, path: &str) -> Answer {
        let request = Request::get(format!("{}{path}", self.admin))
            .header("authorization", format!("Bearer {ADMIN}"))
            .body(Full::default())
            .unwrap();
        let answer = Answer::of(self.client.request(request).await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// What the administration comes to say once it is so.
    async fn stats_when(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let stats = self.seen("/admin/stats").await.json();
            if is_so(&stats) {
                return stats;
            }
            assert!(Instant::now() < until, "{stats:#}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The line of `/metrics` that is of this series.
    async fn metric(&self, series: &str) -> f64 {
        let text = self.seen("/metrics").await.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        let value = value.unwrap_or_else(|| panic!("{series} is not there:\n{text}"));
        value.trim().parse().unwrap()
    }

    async fn administer(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.admin);
        let answer = self.post(&url, ADMIN, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A line for the log, by a grant: whether it was taken.
    async fn logs(&self, grant: &Value) -> bool {
        let id = grant["grantId"].as_str().unwrap();
        let path = format!("/capabilities/logger/{id}/capability.logger.v1.Logger/Log");
        let line = json!({ "level": "info", "message": "hello" });
        let token = grant["bearerToken"].as_str().unwrap();
        match self.call(&path, token, &line).await.status.as_u16() {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }

    async fn granted(&self, token: &str) -> Value {
        let request = json!({ "capabilityType": "logger" });
        let answer = self.call(BROKER, token, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["grant"].clone()
    }
}

/// How long it takes until it is not so any more; not longer than the bound, and then some for a machine that
/// is busy.
async fn until_not<F: Future<Output = bool>>(is_so: impl Fn() -> F) -> Duration {
    let begun = Instant::now();
    while is_so().await {
        assert!(begun.elapsed() < BOUND + Duration::from_secs(1), "still so");
        sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn what_one_copy_issues_and_revokes_counts_for_the_other() {
    let redis = Redis::start().await;
    let (a, b) = (redis.copy(&[]).await, redis.copy(&[]).await);
    let (id, token) = a.admit("p").await;
    assert!(a.knows(&token).await && b.knows(&token).await);
    // A grant of one is used at the other, too.
    let grant = b.granted(&token).await;
    assert!(a.logs(&grant).await && b.logs(&grant).await);

    // In both caches by now.
    let revoked = a.administer(&format!("/admin/tokens/{id}/revoke")).await;
    assert_eq!(revoked, json!({ "revoked": 1 }));
    assert!(!a.knows(&token).await, "where it was revoked, at once");
    until_not(async || b.knows(&token).await).await;
    // And what it was granted has gone with it.
    until_not(async || b.logs(&grant).await).await;
    until_not(async || a.logs(&grant).await).await;
}

#[tokio::test]
async fn a_token_rotated_at_one_copy_is_good_at_the_other_and_keeps_its_grants() {
    let redis = Redis::start().await;
    let (a, b) = (redis.copy(&[]).await, redis.copy(&[]).await);
    let (id, token) = a.admit("p").await;
    let grant = a.granted(&token).await;
    let url = format!("{}/rotate", b.url);
    let answer = b.post(&url, &token, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let successor = answer.json();
    assert_eq!(successor["runtimeId"], json!(id));
    let successor = successor["runtimeToken"].as_str().unwrap();
    assert!(a.knows(successor).await && b.knows(successor).await);
    assert!(a.logs(&grant).await && b.logs(&grant).await);
}

/// How many of ten discoveries, made of these in turn, are let through.
async fn admitted_of_ten(copies: [&Copy; 2], token: &str) -> u32 {
    let message = json!({ "serviceType": "x" });
    let mut admitted = 0;
    for copy in copies.into_iter().cycle().take(10) {
        let answer = copy.call(DISCOVER, token, &message).await;
        admitted += u32::from(answer.status == 404);
    }
    admitted
}

#[tokio::test]
async fn a_quota_is_one_for_all_copies() {
    let redis = Redis::start().await;
    let quota = ["--discover-quota", "1/h:4"];
    let (a, b) = (redis.copy(&quota).await, redis.copy(&quota).await);
    let (_, token) = a.admit("p").await;
    assert_eq!(admitted_of_ten([&a, &b], &token).await, 4);
}

// What is owed was kept under a name that followed from the quota a copy was started with.
#[tokio::test]
async fn a_quota_that_one_copy_has_read_again_is_one_with_that_of_a_copy_started_with_it() {
    let redis = Redis::start().await;
    let file = redis.folder.path().join("host.toml");
    std::fs::write(&file, "discover-quota = \"1000/s\"\n").unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let a = redis.copy(&arguments).await;
    std::fs::write(&file, "discover-quota = \"1/h:4\"\n").unwrap();
    a.program.send("-HUP").await;
    a.program.logs("the quotas were read again", 1).await;
    let b = redis.copy(&arguments).await;
    let (_, token) = a.admit("p").await;
    assert_eq!(admitted_of_ten([&a, &b], &token).await, 4);
}

#[tokio::test]
async fn the_administration_says_what_redis_holds_and_when_it_has_gone() {
    let mut redis = Redis::start().await;
    let (a, b) = (redis.copy(&[]).await, redis.copy(&[]).await);
    let (_, token) = a.admit("p").await;
    b.admit("q").await;
    a.granted(&token).await;
    // Whoever is asked, of all copies.
    for copy in [&a, &b] {
        let stats = copy
            .stats_when(|stats| stats["tokens"]["alive"] == 2 && stats["grants"]["alive"] == 1)
            .await;
        assert_eq!(stats["redis"]["state"], "up");
        assert_eq!(stats["grants"]["capacity"], stats["tokens"]["capacity"]);
        assert_eq!(copy.metric("plugin_host_tokens ").await, 2.0);
        assert_eq!(copy.metric("plugin_host_grants ").await, 1.0);
        assert_eq!(copy.metric("plugin_host_redis_up ").await, 1.0);
    }
    // What is to raise an alarm.
    let of_cache = async |name: &str| {
        let series = format!("tower_plugin_auth_{name}{{store=\"host\"}} ");
        a.metric(&series).await
    };
    let bound = BOUND.as_secs_f64();
    assert_eq!(of_cache("revocation_bound_seconds").await, bound);
    assert!(of_cache("revocation_lag_seconds").await <= bound);
    let stats = a
        .stats_when(|stats| stats["redis"]["revocations"]["heard"] == true)
        .await;
    let revocations = &stats["redis"]["revocations"];
    assert_eq!(revocations["bound_millis"], 2000);
    assert!(revocations["lag_millis"].as_u64().unwrap() <= 2000);
    assert_eq!(of_cache("cache_live").await, 1.0);
    assert!(a.knows(&token).await && a.knows(&token).await);
    assert!(of_cache("cache_hits_total").await >= 1.0);
    let accepted = r#"tower_plugin_auth_checks_total{outcome="accepted"} "#;
    assert!(a.metric(accepted).await >= 2.0);

    let was_up = stats["redis"]["since"].as_u64().unwrap();
    let before = seconds();
    redis.kill().await;
    // Nobody has to call for it to be found out.
    let stats = a
        .stats_when(|stats| stats["redis"]["state"] == "down")
        .await;
    let since = stats["redis"]["since"].as_u64().unwrap();
    assert!(was_up <= before && (before..=seconds()).contains(&since));
    assert_eq!(stats["tokens"]["alive"], Value::Null);
    assert_eq!(stats["grants"]["alive"], Value::Null);
    assert_eq!(a.metric("plugin_host_redis_up ").await, 0.0);
    assert!(a.metric("plugin_host_tokens ").await.is_nan());
    assert!(a.metric("plugin_host_grants ").await.is_nan());
    a.stats_when(|stats| stats["redis"]["revocations"]["heard"] == false)
        .await;
    assert_eq!(of_cache("cache_live").await, 0.0);
    // The page shows it by these names.
    let page = a.seen("/").await.text();
    for field in ["state", "since", "asked", "unavailable"] {
        assert!(!stats["redis"][field].is_null(), "{field}");
        assert!(page.contains(&format!("redis.{field}")), "{field}");
    }
    // It stays the time at which it went.
    let later = a.stats_when(|_| seconds() > since + 1).await;
    assert_eq!(later["redis"]["since"], since);
}

fn seconds() -> u64 {
    let now = SystemClock::new().wall();
    now.duration_since(UNIX_EPOCH).unwrap().as_secs()
}
