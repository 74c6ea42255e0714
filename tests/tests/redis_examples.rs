//! What runs on Redis in `examples/`: copies of `plugin-host` that enforce one limit, and the program
//! `distributed`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::Parser;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_plugin_core::SystemClock;
use tower_plugin_examples::{
    distributed::{compare, sizing},
    host::{HostState, Options, build, serve},
};
use tower_plugin_tests::redis::RedisServer;

const SECRET: &str = "correct-horse-battery-staple";

/// A copy of the host in this process.
struct Host {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Host {
    async fn start(arguments: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Copies on one Redis sign with the same keys.
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(keys.path(), format!("1 {}\n", "07".repeat(32))).unwrap();
        let own = [
            "plugin-host",
            "--token-key-file",
            keys.path().to_str().unwrap(),
        ];
        let options = Options::try_parse_from([&own, arguments].concat()).unwrap();
        let bounds = options.bounds();
        let (config, _) = options.into_config(Some(SECRET.to_owned())).unwrap();
        let state = Arc::new(HostState::new(config, Arc::new(SystemClock::new())).unwrap());
        state.meet_redis().await;
        let app = build(&state);
        let listener = state.listener(listener).unwrap();
        let address = listener.address();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap() };
            serve(listener, app, state.readiness(), bounds, stopped).await;
        });
        Self {
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop,
            served,
        }
    }

    async fn get(&self, path: &str) -> StatusCode {
        let uri = format!("http://{}{path}", self.address);
        self.client
            .get(uri.parse().unwrap())
            .await
            .unwrap()
            .status()
    }

    /// What a handshake without the secret is answered: 400, unless it does not come that far.
    async fn knock(&self) -> StatusCode {
        let path = "connectplugin.v1.HandshakeService/Handshake";
        let request = Request::post(format!("http://{}/{path}", self.address))
            .header("content-type", "application/json")
            .body(Full::from("{}"))
            .unwrap();
        self.client.request(request).await.unwrap().status()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        drop(self.client);
        let served = tokio::time::timeout(Duration::from_secs(20), self.served);
        served.await.unwrap().unwrap();
    }
}

/// How often three hosts together let handshakes through, refuse them, and cannot say.
async fn knock_at_three(arguments: &[&str], times: u32) -> [u32; 3] {
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(Host::start(arguments).await);
    }
    let mut counts = [0; 3];
    for _ in 0..times {
        for host in &hosts {
            match host.knock().await {
                StatusCode::BAD_REQUEST => counts[0] += 1,
                StatusCode::TOO_MANY_REQUESTS => counts[1] += 1,
                StatusCode::SERVICE_UNAVAILABLE => counts[2] += 1,
                other => panic!("{other}"),
            }
        }
    }
    for host in hosts {
        host.stop().await;
    }
    counts
}

#[tokio::test]
async fn copies_of_the_host_enforce_one_limit() {
    for (quota, leases, times, least, most) in [
        ("10/h", None, 10, 10, 10),
        // 20 of 100 are kept for leases, and as many may die unspent.
        ("100/h", Some("20"), 50, 60, 100),
    ] {
        // Of its own: what is owed stays owed under another quota.
        let server = RedisServer::start().await;
        let url = server.url();
        let mut arguments = vec!["--redis", &url, "--redis-on-unavailable", "deny"];
        arguments.extend(["--handshake-quota", quota]);
        arguments.extend(
            leases
                .into_iter()
                .flat_map(|percent| ["--redis-leases", percent]),
        );
        let [admitted, refused, unsaid] = knock_at_three(&arguments, times).await;
        assert_eq!(admitted + refused + unsaid, 3 * times);
        // What Redis was too late for was debited all the same.
        assert!(
            admitted <= most && admitted + unsaid >= least,
            "{quota}: {admitted} admitted, {refused} refused, {unsaid} unsaid"
        );
    }
}

#[tokio::test]
async fn a_host_without_its_redis_is_ready_and_does_as_it_was_told() {
    // Nobody listens there.
    let redis = [
        "--redis",
        "redis://127.0.0.1:1",
        "--handshake-quota",
        "10/h",
    ];
    for (without, expected) in [
        ("allow", [30, 0, 0]),
        ("deny", [0, 0, 30]),
        // A fifth of the burst for each of the three.
        ("local:5", [6, 24, 0]),
    ] {
        let arguments = [&redis[..], &["--redis-on-unavailable", without]].concat();
        assert_eq!(knock_at_three(&arguments, 10).await, expected, "{without}");
    }
    let host = Host::start(&redis).await;
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(host.get(probe).await, StatusCode::OK, "{probe}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_admit_what_one_quota_allows() {
    let server = RedisServer::start().await;
    let comparison = compare(&server.url(), 1_500).await.unwrap();
    for outcome in [&comparison.exact, &comparison.leased] {
        let together = outcome.together();
        assert!(together <= outcome.allowed, "{comparison}");
        // The burst, less what is kept for leases and what no answer came for in time.
        assert!(
            together + outcome.stats.unavailable >= 1_900,
            "{comparison}"
        );
        assert!(outcome.admitted.iter().all(|admitted| *admitted > 0));
    }
    let leased = &comparison.leased;
    assert_eq!(comparison.exact.stats.allowed_locally, 0, "{comparison}");
    assert!(
        leased.stats.allowed_locally * 2 > leased.together(),
        "{comparison}"
    );
    let rows = comparison.to_string();
    assert!(
        rows.contains("| exact |") && rows.contains("| leased |"),
        "{rows}"
    );
}

#[tokio::test]
async fn the_figures_for_sizing_are_of_full_batches() {
    let server = RedisServer::start().await;
    let sizing = sizing(&server.url(), 1_000).await.unwrap();
    let batches: Vec<_> = sizing.rows.iter().map(|row| row.batch).collect();
    assert_eq!(batches, [1.0, 16.0, 64.0, 128.0].repeat(2));
    assert!(sizing.rows.iter().all(|row| row.micros > 0.0), "{sizing}");
    assert!((50..500).contains(&sizing.bytes), "{sizing}");
}
