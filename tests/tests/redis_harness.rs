//! The harness does what the tests of Redis take for granted.

use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tower_plugin_tests::{
    proxy::{Faults, Proxy, Replies},
    redis::{APPEND_ONLY, RedisCluster, RedisServer, Replication},
};

#[tokio::test]
async fn a_killed_server_keeps_what_it_was_told_to_and_no_more() {
    let (mut forgetful, mut durable) =
        tokio::join!(RedisServer::start(), RedisServer::start_with(APPEND_ONLY));
    for (server, expected) in [(&mut forgetful, ""), (&mut durable, "1")] {
        server.cli(&["SET", "key", "1"]).await;
        let url = server.url();
        server.kill();
        assert!(server.try_cli(&["PING"]).await.is_err());
        server.restart().await;
        assert_eq!(server.url(), url);
        assert_eq!(server.cli(&["GET", "key"]).await, expected);
    }
}

#[tokio::test]
async fn a_paused_server_answers_when_it_goes_on() {
    let server = RedisServer::start().await;
    let mut client = client(server.port()).await;
    server.pause().await;
    client.write_all(b"PING\r\n").await.unwrap();
    let mut reply = [0; 7];
    let silence = timeout(Duration::from_millis(50), client.read_exact(&mut reply)).await;
    assert!(silence.is_err());
    server.resume();
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[tokio::test]
async fn a_server_listens_on_a_unix_socket() {
    let server = RedisServer::start_on_socket(&[]).await;
    assert_eq!(server.cli(&["PING"]).await, "PONG");
    assert!(server.url().starts_with("redis+unix:///"));
}

#[tokio::test]
async fn calls_are_counted_and_errors_are_errors() {
    let server = RedisServer::start().await;
    assert_eq!(server.calls("get").await, 0);
    server.cli(&["GET", "key"]).await;
    server.cli(&["GET", "key"]).await;
    assert_eq!(server.calls("get").await, 2);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert_eq!(server.calls("config|set").await, 1);
    let error = server.try_cli(&["SET", "key", "1"]).await.unwrap_err();
    assert!(error.starts_with("OOM "), "{error}");
}

#[tokio::test]
async fn a_test_that_panics_leaves_no_server_and_no_directory() {
    for pauses in [false, true] {
        let server = RedisServer::start().await;
        let (port, directory) = (server.port(), server.directory().to_owned());
        if pauses {
            server.pause().await;
        }
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _server = server;
            panic!("as a failed assertion does");
        }));
        assert!(panicked.is_err());
        let refused = TcpStream::connect(("127.0.0.1", port)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(!directory.exists());
    }
}

#[tokio::test]
async fn a_demoted_master_refuses_writes() {
    let servers = Replication::start().await;
    servers.first.cli(&["SET", "key", "1"]).await;
    servers.settle().await;
    let write = ["SET", "key", "2"];
    let refused = servers.second.try_cli(&write).await.unwrap_err();
    assert!(refused.starts_with("READONLY "), "{refused}");
    servers.promote().await;
    servers.second.cli(&write).await;
    servers.demote().await;
    let refused = servers.first.try_cli(&write).await.unwrap_err();
    assert!(refused.starts_with("READONLY "), "{refused}");
    assert_eq!(servers.first.cli(&["GET", "key"]).await, "2");
}

#[tokio::test]
async fn a_slot_moves_and_a_node_is_lost() {
    let mut cluster = RedisCluster::start().await;
    // Slot 15495.
    let slot = cluster.slot_of("a").await;
    cluster.node(2).cli(&["SET", "a", "1"]).await;

    cluster.begin_move(slot, 2, 0).await;
    assert_eq!(cluster.node(2).cli(&["GET", "a"]).await, "1");
    let elsewhere = cluster.node(2).try_cli(&["GET", "b{a}"]).await.unwrap_err();
    assert!(elsewhere.starts_with("ASK 15495 127.0.0.1:"), "{elsewhere}");
    cluster.finish_move(slot, 2, 0).await;
    assert_eq!(cluster.node(0).cli(&["GET", "a"]).await, "1");
    let moved = cluster.node(2).try_cli(&["GET", "a"]).await.unwrap_err();
    assert!(moved.starts_with("MOVED 15495 127.0.0.1:"), "{moved}");

    cluster.node_mut(1).kill();
    cluster.wait_until_lost(1).await;
    let down = cluster.node(0).try_cli(&["GET", "a"]).await.unwrap_err();
    assert!(down.starts_with("CLUSTERDOWN "), "{down}");
    cluster.node_mut(1).restart().await;
    cluster.wait_until_ok().await;
    assert_eq!(cluster.node(0).cli(&["GET", "a"]).await, "1");
}

#[tokio::test]
async fn a_proxy_delays_each_direction() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let mut client = client(proxy.port()).await;
    let delay = Duration::from_millis(30);
    let [to_server, to_client] = [(delay, Duration::ZERO), (Duration::ZERO, delay)];
    for (delay_to_server, delay_to_client) in [to_server, to_client] {
        proxy.set(Faults {
            delay_to_server,
            delay_to_client,
            ..Faults::default()
        });
        let start = Instant::now();
        ping(&mut client).await.unwrap();
        assert!(start.elapsed() >= delay);
    }
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.open()), (1, 1));
    assert_eq!((counts.bytes_to_server, counts.bytes_to_client), (12, 14));
}

#[tokio::test]
async fn a_proxy_loses_replies_and_not_requests() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let mut mute = client(proxy.port()).await;
    proxy.set(Faults {
        replies: Replies::Drop,
        ..Faults::default()
    });
    mute.write_all(b"INCR key\r\n").await.unwrap();
    proxy.until(|counts| counts.bytes_lost == 4).await;
    proxy.set(Faults::default());
    mute.write_all(b"INCR key\r\n").await.unwrap();
    proxy.until(|counts| counts.bytes_lost == 8).await;

    proxy.set(Faults {
        replies: Replies::Reset,
        ..Faults::default()
    });
    let mut reset = client(proxy.port()).await;
    reset.write_all(b"INCR key\r\n").await.unwrap();
    let error = reset.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(server.cli(&["GET", "key"]).await, "3");
    assert_eq!(proxy.counts().bytes_to_client, 0);
}

#[tokio::test]
async fn a_proxy_resets_and_refuses() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let mut old = client(proxy.port()).await;
    ping(&mut old).await.unwrap();

    proxy.refuse().await;
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    ping(&mut old).await.unwrap();
    proxy.reset().await;
    let reset = ping(&mut old).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

    proxy.accept().await;
    let mut new = client(proxy.port()).await;
    ping(&mut new).await.unwrap();
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.ended), (2, 1));

    // It ends, and its connections with it.
    drop(proxy);
    assert_eq!(new.read(&mut [0]).await.unwrap(), 0);
}

async fn client(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

async fn ping(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(b"PING\r\n").await?;
    let mut reply = [0; 7];
    client.read_exact(&mut reply).await?;
    assert_eq!(&reply, b"+PONG\r\n");
    Ok(())
}
