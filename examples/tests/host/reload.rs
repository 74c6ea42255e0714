//! What a signal changes while the host serves.

use std::fs;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    process::Program,
    support::{Answer, DISCOVER, HANDSHAKE, SECRET, handshake},
};

const ADMIN: &str = "the-token-of-the-administrator";

struct Running {
    program: Program,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Running {
    async fn start(arguments: &[&str]) -> Self {
        let arguments = [&["--admin-listen", "127.0.0.1:0"], arguments].concat();
        let environment = [
            ("PLUGIN_HOST_BOOTSTRAP_SECRET", SECRET),
            ("PLUGIN_HOST_ADMIN_TOKEN", ADMIN),
        ];
        Self {
            program: Program::with(&arguments, &environment).await,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    async fn call(&self, path: &str, token: &str, message: &Value) -> Answer {
        let request = Request::post(format!("{}{path}", self.program.url()))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from(message.to_string()))
            .unwrap();
        Answer::of(self.client.request(request).await.unwrap()).await
    }

    /// The status of one discovery: 404 if it was let through, as there is nothing to find.
    async fn discover(&self, token: &str) -> u16 {
        let message = json!({ "serviceType": "x" });
        self.call(DISCOVER, token, &message).await.status.as_u16()
    }

    async fn quota(&self, policy: &str) -> String {
        let (_, rest) = self.program.script.split_once("/admin: ").unwrap();
        let url = format!("{}/admin/stats", rest.lines().next().unwrap());
        let request = Request::get(url)
            .header("authorization", format!("Bearer {ADMIN}"))
            .body(Full::default())
            .unwrap();
        let stats = Answer::of(self.client.request(request).await.unwrap()).await;
        let stats = stats.json();
        let mut policies = stats["policies"].as_array().unwrap().iter();
        let policy = policies.find(|one| one["name"] == policy).unwrap();
        policy["quota"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_hangup_lowers_a_quota_and_a_file_that_is_no_good_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("host.toml");
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("discover-quota = \"1000/s\"\nwatch-quota = \"3/s\"\n");
    let path = file.to_str().unwrap();
    // What the command line says counts before the file, then as before.
    let host = Running::start(&[
        "--config",
        path,
        "--health-quota",
        "7/s",
        "--allow-call",
        "*=*",
    ])
    .await;
    let request = handshake(json!({ "selfId": "p" }));
    let plugin = host.call(HANDSHAKE, "", &request).await.plugin();
    for _ in 0..20 {
        assert_eq!(host.discover(&plugin.token).await, 404);
    }

    write("discover-quota = \"2/h:1\"\nwatch-quota = \"3/s\"\nhealth-quota = \"9/s\"\n");
    host.program.send("-HUP").await;
    host.program.logs("the quotas were read again", 1).await;
    assert_eq!(host.quota("discover").await, "2/h:1");
    assert_eq!(host.quota("watch").await, "3/s");
    assert_eq!(host.quota("health").await, "7/s");
    // One at most, for what was spent before is still owed.
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(host.discover(&plugin.token).await);
    }
    assert_eq!(statuses[1..], [429; 4], "{statuses:?}");

    let refused = "the quotas were not read again";
    for (number, text) in [
        "discover-quota = \"9/s\"\nwatch-quota = \"s3cr3t\"\n",
        "discover-quota = \"9/s\"\nwatch-quotas = \"9/s\"\n",
        "discover-quota = ",
    ]
    .into_iter()
    .enumerate()
    {
        write(text);
        host.program.send("-HUP").await;
        host.program.logs(refused, number + 1).await;
        assert_eq!(host.quota("discover").await, "2/h:1", "{text}");
        assert_eq!(host.quota("watch").await, "3/s", "{text}");
        assert_eq!(host.discover(&plugin.token).await, 429, "{text}");
    }

    write("discover-quota = \"1000/s\"\n");
    host.program.send("-HUP").await;
    host.program.logs("the quotas were read again", 2).await;
    assert_eq!(host.quota("discover").await, "1000/s");
    // What the file says no more is as it comes.
    assert_eq!(host.quota("watch").await, "1/s:3");

    let (status, log) = host.program.signal("-TERM").await;
    assert_eq!(status.code(), Some(0), "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains(refused)).collect();
    assert_eq!(lines.len(), 3, "{log}");
    for (line, named) in lines
        .iter()
        .zip(["watch-quota", "watch-quotas", "host.toml:1:"])
    {
        assert!(line.contains(named) && line.contains("ERROR"), "{line}");
    }
    assert!(log.contains("changed=\"discover\""), "{log}");
    assert!(!log.contains("s3cr3t"), "{log}");
}
