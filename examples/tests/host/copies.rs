//! Two copies of the host on one Redis.

use std::{process::Stdio, time::Duration};

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

use crate::{
    process::Program,
    support::{Answer, BROKER, DISCOVER, HANDSHAKE, Plugin, SECRET, handshake},
};

const ADMIN: &str = "the-token-of-the-administrator";
/// What is revoked by one copy is refused by all after this long at most.
const BOUND: Duration = Duration::from_secs(2);

struct Redis {
    _server: Child,
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
        Self {
            _server: server,
            folder,
        }
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
            _program: program,
        }
    }
}

struct Copy {
    url: String,
    admin: String,
    client: Client<HttpConnector, Full<Bytes>>,
    _program: Program,
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

#[tokio::test]
async fn a_quota_is_one_for_all_copies() {
    let redis = Redis::start().await;
    let quota = ["--discover-quota", "1/h:4"];
    let (a, b) = (redis.copy(&quota).await, redis.copy(&quota).await);
    let (_, token) = a.admit("p").await;
    let message = json!({ "serviceType": "x" });
    let mut admitted = 0;
    for copy in [&a, &b].into_iter().cycle().take(10) {
        let answer = copy.call(DISCOVER, &token, &message).await;
        admitted += u32::from(answer.status == 404);
    }
    assert_eq!(admitted, 4);
}
